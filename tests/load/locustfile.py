"""For Locust's own page and for many generators: `locust -f tests/load/locustfile.py --class-picker`.

LOAD_GRPC, LOAD_PHOTOS, LOAD_REVIEWS, LOAD_SEED, LOAD_SECONDS and LOAD_USERS in the environment stand for the
options of `python -m tests.load`; a shape's full load is LOAD_USERS users who never pause. Locust
takes the first shape, constant, where nobody picks one.
"""

import tests.load.greenlets  # noqa: F401  # first of all: it patches the standard library

# isort: split
import os
from pathlib import Path
from typing import Any

from locust import LoadTestShape, events

from tests.load import shapes, stack
from tests.load.users import OperatorUser, PhotoUser, PredictUser, ReviewUser, RowUser, Shared

__all__ = ["Constant", "OperatorUser", "PhotoUser", "PredictUser", "ReviewUser", "RowUser", "Soak", "Spike", "Steps"]


@events.test_start.add_listener  # type: ignore[untyped-decorator]
def find(environment: Any, **_given: Any) -> None:
    """Ask the host what there is, each time a test starts."""
    photos, reviews = (os.environ.get(name) for name in ("LOAD_PHOTOS", "LOAD_REVIEWS"))
    key = os.environ.get("SLIPWAY_API_KEY")
    Shared.stack = stack.found(
        environment.host,
        os.environ.get("LOAD_GRPC"),
        Path(photos) if photos else None,
        Path(reviews) if reviews else None,
        int(os.environ.get("LOAD_SEED", "1")),
        key,
    )
    if key:
        Shared.headers = {"Authorization": f"Bearer {key}"}
    if environment.shape_class:
        environment.shape_class.reset_time()  # what went before was preparation


class Shape(LoadTestShape):  # type: ignore[misc]
    """A shape of shapes.py with users in place of a rate."""

    abstract = True
    name: str

    def tick(self) -> tuple[int, float] | None:
        """How many users there are now."""
        seconds = os.environ.get("LOAD_SECONDS")
        stage = shapes.at(shapes.stages(self.name, float(seconds) if seconds else None), self.get_run_time())
        if stage is None:
            return None
        return max(1, round(stage.share * int(os.environ.get("LOAD_USERS", "32")))), 50.0


class Constant(Shape):
    """40 % for two minutes."""

    name = "constant"


class Steps(Shape):
    """Up to and past saturation."""

    name = "steps"


class Spike(Shape):
    """Calm, one and a half times saturation, calm."""

    name = "spike"


class Soak(Shape):
    """40 % for an hour."""

    name = "soak"
