"""What the model itself thinks of an item's likeness to what it learned from, and the picture as it sees it."""

import base64
import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from serving.gateway.view import view
from serving.preprocess.image import to_pixels
from tests.gateway.caller import JPEG, RED, Caller, form
from tests.gateway.classifiers import COLORS, MOODS, Classifiers
from tests.gateway.conftest import Serve
from tests.gateway.test_observing import samples

WATCHFUL = replace(COLORS, anomaly_threshold=0.5)


def white() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (48, 32), (255, 255, 255)).save(file, "JPEG")
    return file.getvalue()


@pytest.fixture
def watchful(serve: Serve) -> Caller:
    upstream = Classifiers(WATCHFUL, replace(MOODS, anomaly_threshold=0.5))
    upstream.measures_anomaly = {("colors", 1), ("moods", 1)}
    return serve(upstream)


def test_an_item_unlike_the_training_set_is_flagged_with_its_score(watchful: Caller) -> None:
    usual = watchful.classify(RED).json["predictions"][0]["anomaly"]
    strange = watchful.classify(white()).json["predictions"][0]["anomaly"]

    assert usual == {"score": pytest.approx(0.35, abs=0.02), "threshold": 0.5, "flagged": False}
    assert strange == {"score": pytest.approx(1, abs=0.01), "threshold": 0.5, "flagged": True}


def test_a_text_is_flagged_alike(watchful: Caller) -> None:
    assert watchful.classify("good", model="moods").json["predictions"][0]["anomaly"]["flagged"] is False
    assert watchful.classify("good " * 20, model="moods").json["predictions"][0]["anomaly"]["flagged"] is True


def test_each_of_several_has_its_own_score(watchful: Caller) -> None:
    body, headers = form(("a", "image/jpeg", white()), ("b", "image/jpeg", b"junk"), ("c", "image/jpeg", RED))
    answer = watchful.ask("/v1/models/colors/classify?partial=true", body, headers).json["predictions"]

    assert [each.get("anomaly", {}).get("flagged") for each in answer] == [True, None, False]


def test_the_share_of_the_flagged_is_counted(watchful: Caller) -> None:
    for data in (RED, white(), RED, white()):
        watchful.classify(data)

    of_colors = frozenset(["colors", "1"])
    assert samples(watchful, "gateway_anomalies_total")[of_colors] == 2
    assert samples(watchful, "gateway_items_total")[of_colors] == 4


def test_a_model_without_the_output_says_nothing_of_it(serve: Serve) -> None:
    caller = serve(Classifiers(WATCHFUL))

    assert "anomaly" not in caller.classify(white()).json["predictions"][0]
    assert samples(caller, "gateway_anomalies_total") == {}


def test_a_card_without_a_threshold_says_nothing_of_it(serve: Serve) -> None:
    upstream = Classifiers(COLORS)
    upstream.measures_anomaly = {("colors", 1)}

    assert "anomaly" not in serve(upstream).classify(white()).json["predictions"][0]


@pytest.mark.parametrize("scores", [np.zeros(2, np.float32), np.full(1, np.nan, np.float32)])
def test_a_broken_score_is_a_fault_that_names_the_version(serve: Serve, scores: NDArray[Any]) -> None:
    upstream = Classifiers(WATCHFUL)
    upstream.measures_anomaly = {("colors", 1)}
    upstream.anomaly = lambda inputs: scores
    answer = serve(upstream).classify(RED)

    assert answer.status == 500
    assert "version 1 of colors" in answer.json["detail"]


def test_the_view_is_the_very_picture_that_the_model_was_asked(gateway: Caller) -> None:
    answer = gateway.ask("/v1/models/colors/classify?view=true", RED, JPEG)
    seen = opened(answer.json["predictions"][0]["view"])

    assert np.array_equal(seen, to_pixels(RED, COLORS.input))  # type: ignore[arg-type]


def test_a_grey_picture_is_seen_grey() -> None:
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4, 1)

    assert np.array_equal(opened(view(pixels)), pixels[:, :, 0])


def opened(coded: str) -> NDArray[np.uint8]:
    picture = Image.open(io.BytesIO(base64.b64decode(coded)))
    assert picture.format == "PNG"
    return np.asarray(picture)


def test_nobody_gets_a_view_unasked(gateway: Caller) -> None:
    assert "view" not in gateway.classify(RED).json["predictions"][0]


def test_a_view_of_a_text_is_refused(gateway: Caller) -> None:
    answer = gateway.classify("good", "?view=true", model="moods")

    assert answer.status == 400
    assert "view" in answer.json["detail"]
