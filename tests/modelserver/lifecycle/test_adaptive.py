"""The adaptive batcher: nobody waits while there is room, and those who wait run together."""

import random
import threading
import time

import numpy as np
import pytest

from serving.errors import BadInput, DeadlineExceeded, Overloaded, ServingError
from serving.modelserver.lifecycle.batching.adaptive import Adaptive
from serving.modelserver.lifecycle.batching.parameters import BatchingOptions
from serving.modelserver.metrics import Metrics
from tests.modelserver.lifecycle.callers import ask
from tests.modelserver.lifecycle.doubler import POISON, Array, Doubler, rows
from tests.modelserver.lifecycle.office import Desk


def test_a_lone_request_runs_at_once_in_the_thread_that_brought_it() -> None:
    seen: list[int] = []
    model = Doubler(before_run=lambda _: seen.append(threading.get_ident()))
    batcher = Adaptive(model, BatchingOptions(), Metrics().meter("m", 1))

    answer = batcher.run("serving_default", {"x": rows(1, 2)}, None, None)

    np.testing.assert_array_equal(answer["y"], rows(2, 4))
    assert seen == [threading.get_ident()]


def test_requests_that_wait_while_the_model_is_busy_run_together_and_get_their_own_rows() -> None:
    desk = Desk()
    [busy] = desk.occupy()
    waiting = desk.line_up((1,), (2, 3), (4,))

    desk.gate.let_through(10)

    assert busy.result() == [200]
    assert [request.result() for request in waiting] == [[2], [4, 6], [8]]
    assert sum(desk.shapes()) == 4
    assert len(desk.shapes()) < 4


def test_four_single_rows_that_wait_make_one_batch() -> None:
    desk = Desk()
    desk.occupy()
    waiting = desk.line_up((1,), (2,), (3,), (4,))

    desk.gate.let_through(2)

    assert [request.result() for request in waiting] == [[2], [4], [6], [8]]
    assert desk.shapes() == [4]


@pytest.mark.parametrize(
    ("parallel", "waiting", "first"),
    [
        pytest.param(1, 3, 2, id="a-power-of-two"),
        pytest.param(1, 11, 8, id="at-most-eight"),
        pytest.param(2, 4, 2, id="half-for-each-of-two-runs"),
        pytest.param(2, 6, 4, id="rounded-up-where-enough-wait"),
        pytest.param(4, 3, 1, id="fewer-than-runs"),
    ],
)
def test_a_batch_takes_its_fair_share_of_those_that_wait(parallel: int, waiting: int, first: int) -> None:
    desk = Desk(parallel=parallel)
    busy = desk.occupy()
    asking = desk.line_up(*[(float(value),) for value in range(waiting)])

    desk.gate.let_through(1)
    desk.gate.await_run()
    assert desk.shapes() == [first]

    desk.gate.let_through(100)
    assert [request.result() for request in asking] == [[2.0 * value] for value in range(waiting)]
    assert all(request.result() == [200] for request in busy)


def test_those_who_came_first_are_served_first() -> None:
    desk = Desk(max_rows=1)
    desk.occupy()
    order: list[float] = []

    def note(x: Array) -> Array:
        order.append(float(x[0, 0]))
        return 2 * x

    desk.model.answer = note
    waiting = desk.line_up((1,), (2,), (3,))

    desk.gate.let_through(4)

    assert [request.result() for request in waiting] == [[2], [4], [6]]
    assert order == [100, 1, 2, 3]


def test_as_many_run_side_by_side_as_the_model_says() -> None:
    together = threading.Barrier(3)
    model = Doubler(parallel=3, before_run=lambda _: together.wait(20))
    batcher = Adaptive(model, BatchingOptions(), Metrics().meter("m", 1))

    asking = [ask(batcher, value) for value in (1, 2, 3)]

    assert [request.result() for request in asking] == [[2], [4], [6]]


def test_only_requests_of_one_form_are_merged() -> None:
    desk = Desk()
    desk.occupy()
    wide = np.ones((1, 2), np.float32)
    double = np.ones((1, 1), np.float64)
    waiting = [
        *desk.line_up((1,)),
        *desk.line_up((2,), signature="two"),
        *desk.line_up((3,), outputs=["y"]),
    ]
    waiting += [desk.queue(wide), desk.queue(double), *desk.line_up((4,))]

    desk.gate.let_through(10)

    assert [request.result() for request in waiting] == [[2], [4], [6], [2], [2], [8]]
    assert sorted(desk.shapes()) == [1, 1, 1, 1, 2]


@pytest.mark.parametrize(
    ("signature", "values"),
    [
        pytest.param("fixed", (1.0,), id="a-signature-of-fixed-size"),
        pytest.param("serving_default", tuple(range(9)), id="more-rows-than-a-batch"),
        pytest.param("serving_default", (), id="no-rows"),
    ],
)
def test_what_cannot_be_merged_runs_alone(signature: str, values: tuple[float, ...]) -> None:
    desk = Desk()
    desk.occupy()
    x = np.array(values, np.float32).reshape(len(values), 1)
    waiting = [desk.queue(x, signature=signature) for _ in range(2)]

    desk.gate.let_through(3)

    assert [request.result() for request in waiting] == [[2.0 * value for value in values]] * 2
    assert desk.shapes() == [len(values)] * 2


def test_one_bad_request_fails_alone() -> None:
    desk = Desk()
    desk.occupy()
    good, bad, fine, last = desk.line_up((1,), (POISON,), (3,), (4,))

    desk.gate.let_through(10)

    assert [good.result(), fine.result(), last.result()] == [[2], [6], [8]]
    with pytest.raises(BadInput, match="poison"):
        bad.result()
    assert desk.shapes() == [4, 1, 1, 1, 1]


def test_an_answer_without_a_row_for_each_request_is_computed_for_each_alone() -> None:
    desk = Desk()
    desk.model.answer = lambda x: x.sum(axis=0, keepdims=True)
    desk.occupy()
    waiting = desk.line_up((1,), (2,))

    desk.gate.let_through(10)

    assert [request.result() for request in waiting] == [[1], [2]]


def test_a_full_queue_refuses_at_once_and_says_when_to_come_again() -> None:
    desk = Desk(max_waiting=2)
    desk.occupy()
    waiting = desk.line_up((1,), (2,))

    with pytest.raises(Overloaded, match="2 requests wait") as refused:
        desk.batcher.run("serving_default", {"x": rows(3)}, None, None)

    assert refused.value.retry_after_s is not None
    assert refused.value.retry_after_s > 0
    desk.gate.let_through(3)
    assert [request.result() for request in waiting] == [[2], [4]]


def test_a_request_past_its_deadline_never_runs() -> None:
    model = Doubler()
    batcher = Adaptive(model, BatchingOptions(), Metrics().meter("m", 1))

    with pytest.raises(DeadlineExceeded):
        batcher.run("serving_default", {"x": rows(1)}, None, time.monotonic())

    assert model.runs == []


def test_a_deadline_that_passes_in_the_queue_ends_the_wait_and_costs_no_run() -> None:
    desk = Desk()
    [busy] = desk.occupy()
    late = ask(desk.batcher, 1, deadline=time.monotonic() + 0.05)

    with pytest.raises(DeadlineExceeded):
        late.result()  # the run before it is still at the gate
    desk.gate.let_through(1)

    assert busy.result() == [200]
    assert desk.shapes() == []


def test_a_deadline_that_passes_during_a_shared_run_ends_only_that_request() -> None:
    desk = Desk()
    desk.occupy()
    [leader] = desk.line_up((1,))
    deadline = time.monotonic() + 2.0
    [late] = desk.line_up((2,), deadline=deadline)
    desk.gate.let_through(1)
    desk.gate.await_run()
    assert desk.shapes() == [2]

    with pytest.raises(DeadlineExceeded):
        late.result()
    desk.gate.let_through(1)

    assert leader.result() == [2]


def test_a_run_has_the_time_of_its_request_and_a_shared_run_that_of_the_last() -> None:
    desk, far = Desk(), time.monotonic() + 600
    desk.occupy()
    waiting = [*desk.line_up((1,), deadline=far), *desk.line_up((2,), deadline=far + 1)]
    desk.gate.let_through(2)
    assert [request.result() for request in waiting] == [[2], [4]]
    desk.gate.let_through(1)
    assert ask(desk.batcher, 3, deadline=far + 2).result() == [6]

    assert desk.model.deadlines == [None, far + 1, far + 2]


def test_whatever_comes_every_request_is_answered_rightly() -> None:
    """Many threads, bad requests, early deadlines and all signatures at once; nothing hangs, nothing is mixed up."""
    model = Doubler(parallel=2, before_run=lambda _: time.sleep(0.0002))
    batcher = Adaptive(model, BatchingOptions(max_waiting=6), Metrics().meter("m", 1))
    outcomes: dict[str, int] = {}

    def caller(seed: int) -> None:
        choose = random.Random(seed)
        for _ in range(150):
            values = [float(choose.randint(1, 99)) for _ in range(choose.choice([1, 1, 1, 2, 5, 9]))]
            bad = choose.random() < 0.1
            inputs = {"x": rows(*values, *[POISON] * bad)}
            signature = choose.choice(["serving_default", "serving_default", "two"])
            if signature == "two":
                inputs["w"] = inputs["x"]
            deadline = time.monotonic() + choose.choice([0.0, 0.001, 10, 10, 10])
            try:
                y = batcher.run(signature, inputs, None, deadline)["y"]
                np.testing.assert_array_equal(y, 2 * inputs["x"])
                assert not bad
                outcome = "OK"
            except ServingError as error:
                outcome = error.code.name
                assert bad == (outcome == "INVALID_ARGUMENT") or outcome in ("DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED")
            outcomes[outcome] = outcomes.get(outcome, 0) + 1

    threads = [threading.Thread(target=caller, args=(seed,), daemon=True) for seed in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert not any(thread.is_alive() for thread in threads)
    assert outcomes.keys() >= {"OK", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED"}
    assert batcher.run("serving_default", {"x": rows(1)}, None, None)["y"].tolist() == [[2]]
