import numpy as np
import pytest
from numpy.typing import NDArray

from training import anomaly

SIZE = 40


def features(centers: NDArray[np.float64], count: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    random = np.random.default_rng(seed)
    labels = random.integers(0, len(centers), count)
    loudness = random.uniform(0.5, 2, (count, 1))
    return loudness * (centers[labels] + random.normal(0, 0.25, (count, SIZE))), labels


@pytest.fixture(scope="module")
def centers() -> NDArray[np.float64]:
    return np.random.default_rng(9).normal(0, 1, (3, SIZE))


@pytest.fixture(scope="module")
def detector(centers: NDArray[np.float64]) -> anomaly.Detector:
    return anomaly.fit(*features(centers, 600, 0))


def test_an_ordinary_example_scores_about_one_however_loud(
    detector: anomaly.Detector, centers: NDArray[np.float64]
) -> None:
    ordinary, _ = features(centers, 500, 1)

    assert np.median(detector.score(ordinary)) == pytest.approx(1, abs=0.1)
    np.testing.assert_allclose(detector.score(100 * ordinary), detector.score(ordinary), rtol=1e-4)


def test_a_new_kind_scores_higher_than_every_ordinary_example(
    detector: anomaly.Detector, centers: NDArray[np.float64]
) -> None:
    ordinary, _ = features(centers, 500, 1)
    foreign, _ = features(np.random.default_rng(5).normal(0, 1, (1, SIZE)), 200, 2)
    threshold = anomaly.threshold(detector.score(features(centers, 500, 3)[0]))

    assert anomaly.auroc(detector.score(ordinary), detector.score(foreign)) > 0.999
    assert (detector.score(foreign) > threshold).mean() > 0.99
    assert (detector.score(ordinary) > threshold).mean() < 0.03


def test_features_of_nothing_at_all_are_foreign_and_no_fault(detector: anomaly.Detector) -> None:
    score = detector.score(np.zeros((1, SIZE)))

    assert np.isfinite(score).all()
    assert score[0] > 1.5


def test_constant_features_do_no_harm(centers: NDArray[np.float64]) -> None:
    some, labels = features(centers, 100, 0)
    some[:, :10] = 0

    assert np.isfinite(anomaly.fit(some, labels).score(some)).all()


def test_examples_that_are_all_alike_leave_no_score_of_rounding(centers: NDArray[np.float64]) -> None:
    rows = np.repeat(centers, 20, axis=0)
    detector = anomaly.fit(rows, np.repeat(np.arange(len(centers)), 20))
    rounded = rows * (1 + 1e-6 * np.random.default_rng(0).standard_normal(rows.shape))

    assert np.abs(detector.score(rounded) - detector.score(rows)).max() < 1e-2


@pytest.mark.parametrize(
    ("count", "place"),
    [pytest.param(1000, 991, id="many"), pytest.param(99, 99, id="just"), pytest.param(20, 20, id="few")],
)
def test_the_threshold_is_the_conformal_one(count: int, place: int) -> None:
    scores = np.arange(1, count + 1, dtype=float)

    assert anomaly.threshold(np.random.default_rng(0).permutation(scores)) == place


def test_the_area_under_the_curve_counts_ties_half() -> None:
    assert anomaly.auroc(np.array([1.0, 2.0]), np.array([2.0, 3.0])) == pytest.approx((0.5 + 1 + 1 + 1) / 4)
