from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from serving.card import Dataset, ImageInput, ModelCard
from training import gate, quality
from training.comparison import Comparison, Found

COUNT = 400


def found(right: NDArray[np.bool_], sureness: float = 0.9, cpu_ms: float = 1.0) -> Found:
    truth = np.arange(COUNT) % 2
    said = np.where(right, truth, 1 - truth)
    probabilities = np.full((COUNT, 2), 1 - sureness)
    probabilities[np.arange(COUNT), said] = sureness
    return Found(quality.measure(probabilities, truth), right, truth, cpu_ms)


def right_but(wrong: int, of_class: int | None = None) -> NDArray[np.bool_]:
    """All right but so many, of both classes or of one."""
    right = np.ones(COUNT, bool)
    places = np.flatnonzero(np.arange(COUNT) % 2 == of_class) if of_class is not None else np.arange(COUNT)
    right[places[:wrong]] = False
    return right


def verdict(before: Found, after: Found, ratio: float = 1.0) -> gate.Verdict:
    return gate.judge(Comparison(before, after, ("cat", "dog"), ratio), 3)


def test_as_good_as_before_passes() -> None:
    assert verdict(found(right_but(40)), found(right_but(40))).refusals == ()


def test_one_more_mistake_is_chance_and_forty_more_are_not() -> None:
    before = found(right_but(40))

    assert verdict(before, found(right_but(41))).refusals == ()
    assert "accuracy changed from 90.00% to 80.00%" in verdict(before, found(right_but(80), 0.85)).refusals[0]


def test_a_class_that_is_recognized_less_often_is_named() -> None:
    before, after = found(right_but(20, of_class=0)), found(right_but(20, of_class=1))

    refusals = verdict(before, after).refusals

    assert refusals == ("the recall of dog fell from 100.00% to 90.00%, more than 5%",)


def test_answers_that_are_sure_without_reason_are_refused() -> None:
    refusals = verdict(found(right_but(40), 0.9), found(right_but(40), 0.99)).refusals

    assert len(refusals) == 1
    assert "calibration error rose from 0.00% to 9.00%" in refusals[0]


@pytest.mark.parametrize(("ratio", "passes"), [(1.19, True), (1.21, False)])
def test_a_fifth_more_cpu_time_is_allowed(ratio: float, passes: bool) -> None:
    same = found(right_but(40))

    assert (not verdict(same, same, ratio).refusals) == passes


def test_the_interval_of_a_change_counts_only_where_the_versions_differ() -> None:
    before, after = right_but(40), right_but(50)
    low, high = gate.paired_interval(before, after)

    assert low < -10 / COUNT < high < 0
    assert gate.paired_interval(before, before) == (0, 0)


CARD = ModelCard(
    name="pets",
    version=1,
    task="image_classification",
    labels=("cat", "dog"),
    input=ImageInput(height=8, width=8),
    dataset=Dataset(name="pets", source="directory", test=10, sha256="a"),
    created="2026-01-31T12:00:00Z",
)


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        pytest.param(CARD, "", id="same"),
        pytest.param(replace(CARD, labels=("dog", "cat")), "", id="other-order"),
        pytest.param(replace(CARD, labels=("cat", "fox")), "other labels", id="labels"),
        pytest.param(replace(CARD, task="text_classification"), "another task", id="task"),
        pytest.param(replace(CARD, dataset=replace(CARD.dataset, sha256="b")), "other data", id="data"),
    ],
)
def test_only_versions_of_one_data_set_are_compared(other: ModelCard, reason: str) -> None:
    said = gate.incomparable(other, CARD)

    assert reason in said
    assert bool(said) == bool(reason)


def test_the_card_says_what_was_compared_and_what_was_forced() -> None:
    said = verdict(found(right_but(40)), found(right_but(120))).for_card(forced=True)

    assert said["compared_with"] == 3
    assert said["forced"]
    assert said["refusals"]
