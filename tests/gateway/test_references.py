"""What a card measured, and which models answer, shown beside what is answered now."""

from dataclasses import replace

import pytest

from serving.card import Quality
from tests.gateway.caller import RED, Caller
from tests.gateway.classifiers import COLORS, MOODS, Classifiers
from tests.gateway.conftest import Serve
from tests.gateway.test_observing import samples
from tests.waiting import until

MEASURED = Quality(
    examples=10,
    accuracy=0.8,
    macro_f1=0.8,
    log_loss=0.4,
    calibration_error=0.02,
    confusion=((4, 0, 0), (1, 2, 0), (0, 1, 2)),
    mean_confidence=0.85,
)


def shown(caller: Caller, name: str) -> dict[frozenset[str], float]:
    return samples(caller, name)


def test_the_share_of_each_label_on_the_test_split_is_shown_once_a_version_has_answered(serve: Serve) -> None:
    caller = serve(Classifiers(replace(COLORS, quality=MEASURED)))
    assert shown(caller, "gateway_reference_label_share") == {}

    caller.classify(RED)

    assert shown(caller, "gateway_reference_label_share") == {
        frozenset(["colors", "1", "red"]): pytest.approx(0.5),
        frozenset(["colors", "1", "green"]): pytest.approx(0.3),
        frozenset(["colors", "1", "blue"]): pytest.approx(0.2),
    }
    assert shown(caller, "gateway_reference_confidence") == {frozenset(["colors", "1"]): pytest.approx(0.85)}


def test_a_card_that_measured_nothing_has_no_reference(serve: Serve) -> None:
    caller = serve(Classifiers(replace(COLORS, quality=None)))
    caller.classify(RED)

    assert shown(caller, "gateway_reference_label_share") == {}
    assert shown(caller, "gateway_reference_confidence") == {}


def test_every_model_is_shown_as_answering_or_not(serve: Serve) -> None:
    classifiers = Classifiers(COLORS, MOODS)
    caller = serve(classifiers, models=("colors", "unborn"))

    def available() -> dict[frozenset[str], float]:
        return shown(caller, "gateway_model_available")

    born = {frozenset(["colors"]): 1.0, frozenset(["moods"]): 1.0}
    until(lambda: available() == born | {frozenset(["unborn"]): 0.0})

    classifiers.publish(replace(COLORS, name="unborn"), 1)
    classifiers.retire("moods", 1)
    until(lambda: available() == {frozenset(["colors"]): 1.0, frozenset(["unborn"]): 1.0})
