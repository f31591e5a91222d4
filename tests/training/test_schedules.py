import math
from itertools import pairwise

import pytest

from training.learning import Learning
from training.schedules import rate_at

STEPS = 10


def rates(how: Learning, count: int = 40) -> list[float]:
    return [rate_at(step, how, STEPS) for step in range(count)]


def test_a_constant_rate_stays() -> None:
    assert set(rates(Learning(learning_rate=0.5))) == {0.5}


def test_steps_fall_by_the_factor_every_so_many_epochs() -> None:
    found = rates(Learning(learning_rate=1.0, schedule="step", decay_rate=0.1, decay_epochs=2))

    assert found[:20] == [1.0] * 20
    assert found[20:40] == [0.1] * 20


def test_an_exponential_falls_by_the_factor_over_the_same_time_smoothly() -> None:
    found = rates(Learning(learning_rate=1.0, schedule="exponential", decay_rate=0.1, decay_epochs=2))

    assert found[10] == pytest.approx(math.sqrt(0.1))
    assert found[20] == pytest.approx(0.1)
    assert all(later < earlier for earlier, later in pairwise(found))


def test_one_over_t_is_half_when_rate_times_time_is_one() -> None:
    found = rates(Learning(learning_rate=1.0, schedule="1/t", decay_rate=0.5, decay_epochs=1))

    assert found[20] == pytest.approx(1 / 2)
    assert found[30] == pytest.approx(1 / 2.5)


def test_a_cosine_begins_high_is_half_in_the_middle_and_ends_near_zero() -> None:
    found = rates(Learning(learning_rate=1.0, schedule="cosine", epochs=4))

    assert found[0] == 1.0
    assert found[20] == pytest.approx(0.5)
    assert found[39] == pytest.approx((1 + math.cos(math.pi * 39 / 40)) / 2)
    assert rate_at(40, Learning(learning_rate=1.0, schedule="cosine", epochs=4), STEPS) == pytest.approx(0)


@pytest.mark.parametrize("schedule", ["constant", "step", "exponential", "1/t", "cosine"])
def test_a_warm_up_rises_evenly_to_the_highest_rate_where_the_schedule_begins(schedule: str) -> None:
    for warm in ({"warmup_steps": 5}, {"warmup_epochs": 0.5}):
        how = Learning(learning_rate=1.0, schedule=schedule, **warm)  # type: ignore[arg-type]

        assert rates(how)[:6] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])


def test_the_formulas_are_those_of_keras() -> None:
    keras = pytest.importorskip("keras", reason="needs TensorFlow: make install")
    kinds = keras.optimizers.schedules
    pairs = {
        "step": kinds.ExponentialDecay(0.3, 20, 0.7, staircase=True),
        "exponential": kinds.ExponentialDecay(0.3, 20, 0.7),
        "1/t": kinds.InverseTimeDecay(0.3, 20, 0.7),
        "cosine": kinds.CosineDecay(0.3, 40),
    }
    for schedule, theirs in pairs.items():
        how = Learning(learning_rate=0.3, schedule=schedule, decay_rate=0.7, decay_epochs=2, epochs=4)  # type: ignore[arg-type]

        assert rates(how) == pytest.approx([float(theirs(step)) for step in range(40)], rel=1e-4)
