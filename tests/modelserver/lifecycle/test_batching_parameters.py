"""TensorFlow Serving's batching parameters: read from a message or from a version's folder, and held to sense."""

from pathlib import Path

import pytest

from serving.errors import BadInput, Code
from serving.modelserver.lifecycle.batching.parameters import BatchingOptions, BatchingParameters, of_version
from serving.modelserver.lifecycle.manager import ModelSettings, NotAvailable
from serving.wire import protos
from tests.modelserver.lifecycle.conftest import WAIT_S, MakeManager
from tests.modelserver.lifecycle.doubler import publish, rows
from tests.waiting import until


def test_the_message_fills_in_only_what_it_sets() -> None:
    message = protos.BatchingParameters()
    message.max_batch_size.value = 32
    message.allowed_batch_sizes.extend([8, 32])
    message.pad_variable_length_inputs = True

    parameters = BatchingParameters.from_proto(message)

    assert (parameters.max_batch_size, parameters.allowed_batch_sizes) == (32, (8, 32))
    assert parameters.pad_variable_length_inputs
    assert (parameters.batch_timeout_micros, parameters.max_enqueued_batches) == (0, 10)


@pytest.mark.parametrize(
    ("field", "value"),
    [("max_batch_size", 0), ("num_batch_threads", 0), ("batch_timeout_micros", -1), ("max_execution_batch_size", 0)],
)
def test_numbers_that_mean_nothing_are_refused(field: str, value: int) -> None:
    message = protos.BatchingParameters()
    getattr(message, field).value = value

    with pytest.raises(BadInput, match=field):
        BatchingParameters.from_proto(message)


@pytest.mark.parametrize("sizes", [(2, 4), (4, 2, 8), (0, 8)])
def test_allowed_sizes_that_do_not_lead_up_to_the_largest_batch_fail_the_load(
    base: Path, manager_of: MakeManager, sizes: tuple[int, ...]
) -> None:
    publish(base, 1)
    parameters = BatchingParameters(max_batch_size=8, allowed_batch_sizes=sizes)
    manager = manager_of(batching=BatchingOptions(mode="scheduled", parameters=parameters))

    with pytest.raises(NotAvailable, match="allowed_batch_sizes"):
        manager.configure([ModelSettings("m", base)])

    assert manager.status("m", 1)[0].code == Code.INVALID_ARGUMENT


def test_a_version_may_bring_its_own_parameters_and_one_without_is_not_batched(
    base: Path, manager_of: MakeManager
) -> None:
    manager = manager_of(batching=BatchingOptions(mode="scheduled", per_model=True))
    (publish(base, 1) / "batching_params.pbtxt").write_text("max_batch_size { value: 2 }")
    manager.configure([ModelSettings("m", base)])

    with manager.acquire("m") as served, pytest.raises(BadInput, match="maximum input batch size 2"):
        served.run("serving_default", {"x": rows(1, 2, 3)})

    publish(base, 2)
    manager.look()
    until(lambda: bool(manager.status("m", 2)) and manager.status("m", 2)[0].state == 30, WAIT_S)
    with manager.acquire("m") as served:
        assert served.run("serving_default", {"x": rows(1, 2, 3)})["y"].shape == (3, 1)


def test_parameters_of_a_version_that_cannot_be_read_are_refused(base: Path) -> None:
    (publish(base, 1) / "batching_params.pbtxt").write_text("max_batch_size: many")

    with pytest.raises(BadInput, match="text-format BatchingParameters"):
        of_version(base / "1")
    assert of_version(base) is None
