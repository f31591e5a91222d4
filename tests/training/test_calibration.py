import numpy as np
import pytest
from numpy.typing import NDArray

from training import calibration


def answers(count: int, sureness: float, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Answers whose logarithms are `sureness` times those of perfectly calibrated ones, and drawn truths."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (count, 3))
    honest = calibration.scaled(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), 1.0)
    labels = (honest.cumsum(axis=1) > random.random((count, 1))).argmax(axis=1)
    return calibration.scaled(honest, 1 / sureness), labels


@pytest.mark.parametrize("sureness", [0.5, 1.0, 2.5])
def test_the_temperature_undoes_how_much_too_sure_a_model_is(sureness: float) -> None:
    probabilities, labels = answers(20_000, sureness)

    temperature = calibration.fit_temperature(probabilities, labels)

    assert temperature == pytest.approx(sureness, rel=0.05)
    assert calibration.error(calibration.scaled(probabilities, temperature), labels) < 0.015


def test_scaling_never_changes_the_first_place() -> None:
    probabilities, _ = answers(1000, 1.0)

    for temperature in (0.2, 1.0, 7.0):
        scaled = calibration.scaled(probabilities, temperature)
        np.testing.assert_array_equal(scaled.argmax(axis=1), probabilities.argmax(axis=1))
        np.testing.assert_allclose(scaled.sum(axis=1), 1)


def test_a_probability_of_zero_stays_a_number() -> None:
    assert np.isfinite(calibration.scaled(np.array([[1.0, 0.0]]), 0.05)).all()


def test_a_few_examples_without_a_mistake_do_not_make_the_model_infinitely_sure() -> None:
    probabilities = np.tile([0.9, 0.1], (20, 1))

    scaled = calibration.scaled(probabilities, calibration.fit_temperature(probabilities, np.zeros(20, int)))

    assert 0.9 < scaled.max() < 1 - 1 / 40


def test_the_floor_is_what_perfectly_calibrated_answers_show_on_so_few_examples() -> None:
    probabilities, _ = answers(150, 1.0)
    repeated = [calibration.error(*answers(150, 1.0, seed)) for seed in range(40)]

    assert calibration.error_floor(probabilities) == pytest.approx(np.mean(repeated), rel=0.25)
    assert calibration.error_floor(np.tile(probabilities, (100, 1))) < 0.01


def test_bins_hold_every_answer_once() -> None:
    found = calibration.reliability(np.array([0.0, 0.5, 0.99, 1.0]), np.array([False, True, True, True]))

    assert found.count.sum() == 4
    assert found.count[-1] == 2
