"""The documents that the gateway sends, as types.

`routes.py` and `problems.py` build them, mypy holds both to these types, and `regenerate.py` makes the
schemas of /openapi.json out of them; so what is documented is what is sent.
"""

from typing import Literal, NotRequired, final

from typing_extensions import TypedDict

from serving.card import ModelCard, Task


class Problem(TypedDict):
    """Why a request was refused (RFC 9457); `type` leads to its entry in /docs."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    index: NotRequired[int]
    """Which picture or text of several is bad, counted from 0."""


class Ranked(TypedDict):
    """A label and how likely it is, 0 to 1."""

    label: str
    probability: float


class Anomaly(TypedDict):
    """How unlike the training examples one picture or text is; above the threshold it is flagged."""

    score: float
    threshold: float
    flagged: bool


@final
class Prediction(Ranked):
    """The best label of one picture or text, and the best few, best first."""

    top: list[Ranked]
    anomaly: NotRequired[Anomaly]
    """Where the model measures it; whatever the labels say, trust them less when it is flagged."""
    view: NotRequired[str]
    """With `view=true`: a PNG file in base64, the picture as the model sees it."""


@final
class Value(TypedDict):
    """The number that a model without labels answers to one row."""

    value: float


Said = Prediction | Value
"""What is said of one good item."""


class Failed(TypedDict):
    """With `partial=true`: what was wrong with one picture or text."""

    error: Problem


class Timing(TypedDict):
    """Milliseconds that each stage took; `total` from the head of the request to its answer."""

    decode: float
    queue: float
    predict: float
    total: float


class Classification(TypedDict):
    """One prediction per picture, text or row, in the order sent."""

    model: str
    version: int
    predictions: list[Said | Failed]
    timing_ms: Timing
    request_id: str


class Picture(TypedDict):
    """A whole picture file in base64."""

    b64: str


class Text(TypedDict):
    """A text."""

    text: str


class Instances(TypedDict):
    """Several pictures, several texts, or several rows: numbers by the names of their columns, or in their order."""

    instances: list[Picture | Text | str | dict[str, float] | list[float]]


class Version(TypedDict):
    """One version and its state: START, LOADING, AVAILABLE, UNLOADING or END; `error` says what went wrong."""

    version: int
    state: str
    error: NotRequired[str]


class ModelSummary(TypedDict):
    """One model; without a card its task and labels are not known."""

    name: str
    task: Task | None
    labels: list[str] | None
    version_labels: dict[str, int]
    versions: list[Version]


class Listing(TypedDict):
    """Every model."""

    models: list[ModelSummary]


class ServingStatus(TypedDict):
    """As TensorFlow Serving says it."""

    error_code: str
    error_message: str


class ServingVersion(TypedDict):
    """As TensorFlow Serving says it: the version is a string."""

    version: str
    state: str
    status: ServingStatus


class Sampling(TypedDict):
    """Where a share of what is sent is kept for labeling, and how much of it, for how long at most."""

    folder: str
    share: float
    max_bytes: int
    max_days: float


class Model(TypedDict):
    """One model, the card of the version that answers, and the state of every version."""

    model: str
    state: str
    version: int | None
    version_labels: dict[str, int]
    card: ModelCard | None
    sampling: Sampling | None
    model_version_status: list[ServingVersion]


class Health(TypedDict):
    """What is missing, one sentence each."""

    status: Literal["ok", "unavailable"]
    missing: list[str]
