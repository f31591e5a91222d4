"""Batching as `--enable_batching` specifies it: sizes, padding, splitting and every refusal."""

import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest

from serving.errors import BadInput, DeadlineExceeded, FailedPrecondition, Overloaded, ServingError, Unavailable
from tests.modelserver.lifecycle.callers import Asking, Gate, ask
from tests.modelserver.lifecycle.conftest import WAIT_S
from tests.modelserver.lifecycle.doubler import POISON, rows
from tests.modelserver.lifecycle.office import Office
from tests.waiting import until

LONG = 3_600_000_000
"""A batch timeout of an hour: only a full batch runs."""


@pytest.fixture
def open_office() -> Iterator[Any]:
    """Makes offices that are closed when the test ends."""
    made: list[Office] = []

    def make(*given: Any, **parameters: Any) -> Office:
        made.append(Office(*given, **parameters))
        return made[-1]

    yield make
    for one in made:
        one.scheduler.close()


def test_a_full_batch_runs_at_once_and_everyone_gets_his_own_rows(open_office: Any) -> None:
    office = open_office(max_batch_size=4, batch_timeout_micros=LONG)

    asking = [ask(office.batcher, 1), ask(office.batcher, 2, 3), ask(office.batcher, 4)]

    assert [request.result() for request in asking] == [[2], [4, 6], [8]]
    assert office.model.runs == [(4, 1)]


def test_without_a_timeout_a_lone_request_does_not_wait(open_office: Any) -> None:
    assert open_office(max_batch_size=4).ask({"x": rows(1)})["y"].tolist() == [[2]]


def test_an_underfull_batch_runs_after_its_timeout(open_office: Any) -> None:
    office = open_office(max_batch_size=4, batch_timeout_micros=1000)

    assert office.ask({"x": rows(1)})["y"].tolist() == [[2]]
    assert office.model.runs == [(1, 1)]


@pytest.mark.parametrize(
    ("count", "executed"),
    [pytest.param(1, 2, id="up-to-the-first"), pytest.param(3, 4, id="up-to-the-next"), pytest.param(4, 4, id="exact")],
)
def test_batches_are_padded_with_copies_of_a_real_row_that_nobody_sees(
    open_office: Any, count: int, executed: int
) -> None:
    seen: list[list[float]] = []
    office = open_office(
        lambda inputs: seen.append(inputs["x"][:, 0].tolist()), max_batch_size=4, allowed_batch_sizes=(2, 4)
    )
    values = [float(value) for value in range(1, count + 1)]

    answer = office.ask({"x": rows(*values)})["y"]

    assert answer[:, 0].tolist() == [2 * value for value in values]
    assert seen == [values + [values[-1]] * (executed - count)]


def test_other_dimensions_are_padded_to_the_largest_with_each_tensors_first_element(open_office: Any) -> None:
    office = open_office(max_batch_size=2, batch_timeout_micros=LONG, pad_variable_length_inputs=True)
    narrow, wide = np.array([[7, 8]], np.float32), np.array([[1, 2, 3, 4]], np.float32)

    asking = [Asking(office.batcher, narrow), Asking(office.batcher, wide)]

    for request in asking:
        request.result()
    answers = [request.answer["y"].tolist() for request in asking if request.answer]
    assert answers == [[[14, 16, 14, 14]], [[2, 4, 6, 8]]]


def test_other_dimensions_that_differ_fail_the_whole_batch_where_padding_is_off(open_office: Any) -> None:
    office = open_office(max_batch_size=2, batch_timeout_micros=LONG)
    asking = [Asking(office.batcher, np.ones((1, width), np.float32)) for width in (1, 2)]

    for request in asking:
        with pytest.raises(
            FailedPrecondition,
            match=r"^Tensors with name 'x:0' from different tasks have different shapes and padding is turned off\.",
        ):
            request.result()
    assert office.model.runs == []


def test_an_empty_tensor_cannot_be_padded(open_office: Any) -> None:
    office = open_office(max_batch_size=2, batch_timeout_micros=LONG, pad_variable_length_inputs=True)
    asking = [Asking(office.batcher, np.ones((1, width), np.float32)) for width in (0, 2)]

    for request in asking:
        with pytest.raises(BadInput, match="Got empty tensor"):
            request.result()


@pytest.mark.parametrize(
    ("inputs", "error", "text"),
    [
        pytest.param({}, BadInput, "Batching Run() must have at least one input tensor", id="no-inputs"),
        pytest.param(
            {"x": np.float32(1).reshape(())},
            BadInput,
            "Batching Run() input tensors must have at least one dimension",
            id="rank-0",
        ),
        pytest.param(
            {"x": rows(1), "w": rows(1, 2)},
            BadInput,
            "Batching Run() input tensors must have equal 0th-dimension size",
            id="unequal-rows",
        ),
        pytest.param(
            {"x": rows(*range(5))}, BadInput, "Task size 5 is larger than maximum input batch size 4", id="size"
        ),
    ],
)
def test_what_cannot_be_batched_is_refused(
    open_office: Any, inputs: Mapping[str, Any], error: type[ServingError], text: str
) -> None:
    with pytest.raises(error) as refused:
        open_office(max_batch_size=4).ask(inputs, "two")

    assert refused.value.message == text


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        pytest.param(lambda x: x.sum(), "Batched output tensor has 0 dimensions", id="rank-0"),
        pytest.param(
            lambda x: x[:1],
            "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes of the input "
            "tensors",
            id="rows",
        ),
    ],
)
def test_an_answer_that_has_no_row_for_each_of_the_batch_is_an_error(open_office: Any, answer: Any, text: str) -> None:
    office = open_office()
    office.model.answer = answer

    with pytest.raises(FailedPrecondition) as failed:
        office.ask({"x": rows(1, 2)})

    assert failed.value.message == text


def test_a_full_queue_refuses(open_office: Any) -> None:
    gate = Gate()
    office = open_office(gate, max_batch_size=1, max_enqueued_batches=2)
    running = office.queue(rows(1))
    gate.await_run()
    waiting = [office.queue(rows(2)), office.queue(rows(3))]

    with pytest.raises(
        Unavailable, match=r"^The batch scheduling queue to which this task was submitted is full; currently 2 batches"
    ):
        office.ask({"x": rows(4)})

    gate.let_through(3)
    assert [request.result() for request in (running, *waiting)] == [[2], [4], [6]]


def test_an_error_fails_the_requests_of_its_batch_only_and_each_gets_its_own(open_office: Any) -> None:
    office = open_office(max_batch_size=2, batch_timeout_micros=LONG)
    asking = [ask(office.batcher, 1), ask(office.batcher, POISON)]

    for request in asking:
        with pytest.raises(BadInput, match="poison"):
            request.result()
    assert asking[0].error is not asking[1].error
    assert office.ask({"x": rows(5, 6)})["y"].tolist() == [[10], [12]]


def test_types_are_never_mixed_in_a_batch(open_office: Any) -> None:
    gate = Gate()
    office = open_office(gate, max_batch_size=4)
    office.queue(rows(1))
    gate.await_run()
    single, double = office.queue(rows(2)), Asking(office.batcher, rows(3).astype(np.float64))
    until(lambda: office.waiting() == 3)

    gate.let_through(3)

    assert [single.result(), double.result()] == [[4], [6]]
    assert double.answer is not None
    assert double.answer["y"].dtype == np.float64
    assert office.model.runs == [(1, 1)] * 3


def test_a_large_request_is_split_where_that_is_allowed(open_office: Any) -> None:
    office = open_office(max_batch_size=8, enable_large_batch_splitting=True, max_execution_batch_size=3)

    answer = office.ask({"x": rows(*range(8))})

    assert answer["y"][:, 0].tolist() == [2.0 * value for value in range(8)]
    assert office.model.runs == [(3, 1), (3, 1), (2, 1)]
    with pytest.raises(BadInput, match="Task size 9 is larger than maximum input batch size 8"):
        office.ask({"x": rows(*range(9))})


def test_a_split_request_fills_the_open_batch_first(open_office: Any) -> None:
    gate = Gate()
    office = open_office(gate, max_batch_size=4, enable_large_batch_splitting=True, batch_timeout_micros=1)
    running = office.queue(rows(1))
    gate.await_run()
    small, large = office.queue(rows(2)), office.queue(rows(3, 4, 5, 6))

    gate.let_through(3)

    assert [running.result(), small.result(), large.result()] == [[2], [4], [6, 8, 10, 12]]
    assert office.model.runs == [(1, 1), (4, 1), (1, 1)]


def test_a_split_request_fails_if_one_piece_does(open_office: Any) -> None:
    office = open_office(max_batch_size=4, enable_large_batch_splitting=True, max_execution_batch_size=2)

    with pytest.raises(BadInput, match="poison"):
        office.ask({"x": rows(1, 2, 3, POISON)})


def test_no_rows_are_a_batch_too(open_office: Any) -> None:
    answer = open_office(enable_large_batch_splitting=True).ask({"x": np.zeros((0, 1), np.float32)})

    assert answer["y"].shape == (0, 1)


def test_a_deadline_that_passes_in_the_queue_is_resource_exhausted(open_office: Any) -> None:
    gate = Gate()
    office = open_office(gate, max_batch_size=1)
    running = office.queue(rows(1))
    gate.await_run()
    late = ask(office.batcher, 2, deadline=time.monotonic() + 0.05)

    with pytest.raises(Overloaded, match=r"^Run\(\) timeout exceeded while waiting in batching queue$"):
        late.result()

    gate.let_through(1)
    assert running.result() == [2]
    assert office.model.runs == [(1, 1)]


def test_a_deadline_that_passes_during_the_run_is_deadline_exceeded(open_office: Any) -> None:
    gate = Gate()
    office = open_office(gate)
    late = ask(office.batcher, 1, deadline=time.monotonic() + 2.0)
    gate.await_run()

    with pytest.raises(DeadlineExceeded):
        late.result()
    gate.let_through(1)


def test_a_batch_has_the_time_of_its_last_request(open_office: Any) -> None:
    gate, far = Gate(), time.monotonic() + 600
    office = open_office(gate, max_batch_size=2)
    first = office.queue(rows(0, 0))
    gate.await_run()
    asking = [office.queue(rows(value), deadline=far + value) for value in (1, 2)]
    asking += [office.queue(rows(3), deadline=far), office.queue(rows(4))]
    gate.let_through(3)

    assert [request.result() for request in (first, *asking)] == [[0, 0], [2], [4], [6], [8]]
    assert office.model.deadlines == [None, far + 2, None]


def test_as_many_batches_run_side_by_side_as_there_are_threads(open_office: Any) -> None:
    together = threading.Barrier(2)
    office = open_office(lambda _: together.wait(WAIT_S), threads=2, max_batch_size=1)

    asking = [ask(office.batcher, 1), ask(office.batcher, 2)]

    assert [request.result() for request in asking] == [[2], [4]]


def test_closing_runs_what_waits_and_refuses_the_rest(open_office: Any) -> None:
    office = open_office(max_batch_size=4, batch_timeout_micros=LONG)
    waiting = office.queue(rows(1))

    office.scheduler.close()

    assert waiting.result() == [2]
    with pytest.raises(Unavailable, match="shutting down"):
        office.ask({"x": rows(2)})
