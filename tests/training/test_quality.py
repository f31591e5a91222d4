import numpy as np
import pytest

from training.quality import measure, wilson


def test_perfect_answers_are_perfect_in_every_measure() -> None:
    found = measure(np.eye(3)[[0, 1, 2, 2]], np.array([0, 1, 2, 2]))

    assert (found.accuracy, found.macro_f1, found.examples, found.recall) == (1.0, 1.0, 4, (1.0, 1.0, 1.0))
    assert found.log_loss == pytest.approx(0, abs=1e-6)
    assert found.calibration_error == pytest.approx(0)
    assert found.calibration_floor == pytest.approx(0)
    assert found.confusion == ((1, 0, 0), (0, 1, 0), (0, 0, 2))


def test_the_confusion_has_the_truth_in_rows_and_the_answer_in_columns() -> None:
    found = measure(np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]]), np.array([0, 1, 1]))

    assert found.confusion == ((1, 0), (1, 1))
    assert found.recall == (1.0, 0.5)
    assert found.accuracy == pytest.approx(2 / 3)
    assert found.macro_f1 == pytest.approx((2 / 3 + 2 / 3) / 2)
    assert found.log_loss == pytest.approx(-np.log([0.9, 0.2, 0.7]).mean())


def test_the_calibration_error_is_the_gap_between_being_sure_and_being_right() -> None:
    sure = np.tile([0.8, 0.2], (10, 1))
    right_half_the_time = np.array([0, 1] * 5)

    assert measure(sure, right_half_the_time).calibration_error == pytest.approx(0.3)


def test_a_sure_mistake_costs_much_but_not_infinitely_much() -> None:
    assert 10 < measure(np.array([[1.0, 0.0]]), np.array([1])).log_loss < 20


@pytest.mark.parametrize(
    ("right", "total", "interval"),
    [  # Newcombe, "Two-sided confidence intervals for the single proportion", 1998, table I, method 3
        pytest.param(81, 263, (0.2553, 0.3662), id="a-third"),
        pytest.param(15, 148, (0.0624, 0.1605), id="a-tenth"),
        pytest.param(0, 20, (0.0, 0.1611), id="none"),
        pytest.param(1, 29, (0.0061, 0.1718), id="one"),
    ],
)
def test_the_interval_of_the_accuracy_is_wilsons(right: int, total: int, interval: tuple[float, float]) -> None:
    assert wilson(right, total) == pytest.approx(interval, abs=5e-5)
