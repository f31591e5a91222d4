"""What every runtime promises, held by each of them on the same files."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray

from serving.errors import BadInput, FailedPrecondition, Unavailable
from tests.modelserver.runtimes.conftest import Load, floats

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # TensorFlow's own, on import


def test_a_request_is_answered_by_the_graph(load: Load) -> None:
    answer = load("half_plus_two").run("serving_default", {"x": floats([[1], [2], [5]])})

    assert answer["y"].tolist() == [[2.5], [3], [4.5]]


def test_variables_are_restored(load: Load) -> None:
    answer = load("half_plus_three").run("serving_default", {"x": floats([[2]])})

    np.testing.assert_allclose(answer["y"], [[4]])


def test_a_signature_may_be_fed_in_the_middle_of_the_graph(load: Load) -> None:
    answer = load("half_plus_two").run("regress_x2_to_y3", {"inputs": floats([[4]])})

    np.testing.assert_allclose(answer["outputs"], [[5]])


@pytest.mark.parametrize("shape", [(3,), (), (2, 1), (2, 3), (1, 1, 2), (0, 1), (2, 0)], ids=str)
def test_stated_shapes_are_not_enforced(load: Load, shape: tuple[int, ...]) -> None:
    answer = load("half_plus_two").run("serving_default", {"x": np.ones(shape, np.float32)})

    assert answer["y"].shape == shape
    assert (answer["y"] == 2.5).all()


def test_a_shape_that_the_graph_cannot_take_is_the_callers_mistake_and_harms_nobody_else(load: Load) -> None:
    model = load("dense")
    rows = floats([[1, 0, 0, 0]])

    for width in (3, 5, 4096):
        with pytest.raises(BadInput):
            model.run("serving_default", {"x": np.ones((2, width), np.float32)})

    np.testing.assert_allclose(model.run("serving_default", {"x": rows})["y"], [[0, 1, 2]])


def test_rows_that_do_not_pair_up_are_refused(load: Load) -> None:
    with pytest.raises(BadInput):
        load("two_inputs").run("serving_default", {"a": np.ones((2, 2), np.float32), "b": np.ones((3, 2), np.float32)})


def test_one_row_is_broadcast_as_the_graph_says(load: Load) -> None:
    inputs = {"a": floats([[1, 2], [3, 4]]), "b": floats([[10, 10]])}

    np.testing.assert_allclose(load("two_inputs").run("serving_default", inputs)["sum"], [[11, 12], [13, 14]])


def test_a_wrong_dtype_is_refused_with_both_names(load: Load) -> None:
    model = load("two_inputs")
    right = np.ones((1, 2), np.float32)

    with pytest.raises(BadInput, match=r"^Expects arg\[1\] to be float but double is provided$"):
        model.run("serving_default", {"a": right, "b": right.astype(np.float64)})
    with pytest.raises(BadInput, match=r"^Expects arg\[0\] to be float but string is provided$"):
        model.run("serving_default", {"a": np.array([[b"1", b"2"]], object), "b": right})


def test_every_real_dtype_passes_through_bit_for_bit(load: Load) -> None:
    values: dict[str, NDArray[Any]] = {
        "float32": np.array([0.1, 3e38, -np.inf], np.float32),
        "float64": np.array([0.1, 1e300, -1e-300]),
        "float16": np.array([0.1, 65504, 6e-8], np.float16),
        "bfloat16": np.array([0.1, 3e38, -1], ml_dtypes.bfloat16),
        "bool": np.array([True, False, True]),
    }
    for kind in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"):
        limits = np.iinfo(kind)
        values[kind] = np.array([limits.min, limits.max, 1], kind)

    answer = load("many_types").run("serving_default", values)

    for kind, sent in values.items():
        assert answer[kind].dtype == sent.dtype
        assert answer[kind].tobytes() == sent.tobytes()


def test_names_that_clash_inside_the_graph_do_not_clash_outside(load: Load) -> None:
    answer = load("clashing_names").run("serving_default", {"x": floats([[1, 2]])})

    assert {alias: array.tolist() for alias, array in answer.items()} == {
        "x": [[2, 3]],
        "same": [[1, 2]],
        "again": [[1, 2]],
        "twice": [[2, 4]],
        "odd name/here": [[2, 4]],
    }


def test_one_tensor_may_come_out_under_two_names(load: Load) -> None:
    inputs = {"a": floats([[1, 2]]), "b": floats([[3, 4]])}

    answer = load("two_inputs").run("serving_default", inputs)

    assert answer["same"].tolist() == answer["again"].tolist() == [[1, 2]]
    assert answer["product"].tolist() == [[3, 8]]


def test_only_the_outputs_asked_for_come_back(load: Load) -> None:
    inputs = {"a": floats([[1, 2]]), "b": floats([[3, 4]])}

    answer = load("two_inputs").run("serving_default", inputs, ["product", "same"])

    assert answer.keys() == {"product", "same"}


def test_an_output_that_does_not_exist_is_named(load: Load) -> None:
    with pytest.raises(BadInput, match=r"not found in signature: z Outputs expected to be in the set \{y\}\.$"):
        load("dense").run("serving_default", {"x": np.ones((1, 4), np.float32)}, ["z"])


def test_an_unknown_signature_is_refused(load: Load) -> None:
    with pytest.raises(FailedPrecondition, match='Serving signature key "nonsense" not found'):
        load("dense").run("nonsense", {})


def test_a_signature_without_inputs_runs(load: Load) -> None:
    assert load("no_inputs").run("serving_default", {})["numbers"].tolist() == [2, 4, 6]


def test_rank_0_goes_in_and_out(load: Load) -> None:
    model = load("scalar_out")

    assert model.run("scalar_in", {"one": np.array(4, np.float32)})["double"].shape == ()
    assert model.run("serving_default", {"x": floats([[1, 2]])})["mean"] == np.float32(1.5)


def test_no_rows_are_a_batch(load: Load) -> None:
    assert load("dense").run("serving_default", {"x": np.empty((0, 4), np.float32)})["y"].shape == (0, 3)


def test_a_version_may_lack_a_default_signature(load: Load) -> None:
    model = load("no_default")

    assert list(model.signatures) == ["other"]
    assert model.run("other", {"x": floats([2])})["y"].tolist() == [6]


def test_inputs_may_be_read_only_or_in_pieces_and_stay_as_they_were(load: Load) -> None:
    model = load("dense")
    read_only = np.frombuffer(floats([[1, 2, 3, 4]]).tobytes(), np.float32).reshape(1, 4)
    every_other = np.arange(16, dtype=np.float32).reshape(2, 8)[:, ::2]
    weights = np.arange(12, dtype=np.float32).reshape(4, 3)

    for rows in (read_only, every_other, np.asfortranarray(every_other)):
        before = rows.copy()
        np.testing.assert_allclose(model.run("serving_default", {"x": rows})["y"], before @ weights)
        np.testing.assert_array_equal(rows, before)


def test_an_answer_belongs_to_the_caller(load: Load) -> None:
    model = load("two_inputs")
    inputs = {"a": np.ones((4, 2), np.float32), "b": np.ones((4, 2), np.float32)}

    first = model.run("serving_default", inputs)
    for array in first.values():
        array[...] = 7
    model.run("serving_default", {alias: np.zeros((4, 2), np.float32) for alias in inputs})

    assert all((array == 7).all() for array in first.values())
    assert (inputs["a"] == 1).all()


def test_many_callers_at_once_each_get_their_own_answer(load: Load) -> None:
    model = load("row_sums")

    def ask(number: int) -> bool:
        rows = np.full((number % 5 + 1, number % 7 + 1), number, np.float32)
        answer = model.run("serving_default", {"x": rows})
        return bool((answer["sum"] == rows.sum(1)).all() and (answer["double"] == 2 * rows).all())

    with ThreadPoolExecutor(16) as callers:
        assert all(callers.map(ask, range(600)))


def test_closing_waits_for_the_runs_under_way_and_refuses_the_next(load: Load) -> None:
    model = load("slow")
    started, answers = threading.Barrier(5), list[float]()

    def ask(number: int) -> None:
        started.wait()
        try:
            while True:
                x = floats([[300 + number]])
                answers.append(float(model.run("serving_default", {"x": x})["y"][0, 0] - 2 * x[0, 0]))
        except Unavailable:
            return

    with ThreadPoolExecutor(4) as callers:
        for number in range(4):
            callers.submit(ask, number)
        started.wait()
        while len(answers) < 4:
            model.run("serving_default", {"x": floats([[1]])})
        model.close()

    assert set(answers) == {0.0}
    with pytest.raises(Unavailable):
        model.run("serving_default", {"x": floats([[1]])})
    model.close()


def test_the_signatures_are_told_as_stored(load: Load) -> None:
    model = load("half_plus_two")

    spec = model.signatures["serving_default"].inputs["x"]
    assert (spec.data_type, spec.shape, spec.name) == (1, (-1, 1), "x:0")
    assert model.signatures["regress_x_to_y"].method_name == "tensorflow/serving/regress"
    assert model.signature_defs.keys() == model.signatures.keys()
    assert load("two_inputs").signatures["defaulted"].defaults["b"].tolist() == [[10, 10]]
