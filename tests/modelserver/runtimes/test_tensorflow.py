"""What only TensorFlow can run, and that the two runtimes agree where both can."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from serving.errors import BadInput, ServingError
from serving.modelserver.runtimes import choice
from serving.modelserver.runtimes.protocol import RuntimeOptions
from serving.wire import dtypes
from serving.wire.protos import Example
from tests.modelserver.runtimes.conftest import Load, floats, strings

tf = pytest.importorskip("tensorflow", reason="needs TensorFlow: make install")

RANDOM = np.random.default_rng(3)


def example(**features: list[float]) -> bytes:
    message = Example()
    for name, values in features.items():
        message.features.feature[name].float_list.value.extend(values)
    return bytes(message.SerializeToString())


@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        ("convolutions", {"image": RANDOM.integers(0, 256, (5, 24, 24, 3), np.uint8)}),
        ("tiny_image", {"image": RANDOM.integers(0, 256, (5, 32, 32, 3), np.uint8)}),
        (
            "tiny_text",
            {
                "text": strings(
                    [b"A good film", b"not good, bad", b"dull. dull. dull", "\u2019t is gr\u00f6\u00df".encode()]
                )
            },
        ),
        ("dense", {"x": RANDOM.normal(size=(6, 4)).astype(np.float32)}),
        ("row_sums", {"x": RANDOM.normal(size=(6, 9)).astype(np.float32)}),
        ("half_plus_three", {"x": RANDOM.normal(size=(6, 1)).astype(np.float32)}),
        ("slow", {"x": floats([[3], [17]])}),
    ],
)
def test_the_runtimes_agree(
    load_openvino: Load, load_tensorflow: Load, name: str, inputs: dict[str, NDArray[Any]]
) -> None:
    ours = load_openvino(name).run("serving_default", inputs)
    theirs = load_tensorflow(name).run("serving_default", inputs)

    assert ours.keys() == theirs.keys()
    for alias, array in theirs.items():
        np.testing.assert_allclose(ours[alias], array, atol=1e-4)


@pytest.mark.parametrize("name", ["tiny_image", "tiny_text"])
def test_the_card_in_the_graph_is_the_card_on_the_host(saved_models: Path, load_openvino: Load, name: str) -> None:
    in_graph = tf.saved_model.load(str(saved_models / name / "1")).signatures["card"](tf.zeros([2], tf.int32))["card"]

    assert (
        in_graph.numpy().tolist()
        == load_openvino(name).run("card", {"request": np.zeros(2, np.int32)})["card"].tolist()
    )


def test_variables_keep_their_state_and_are_the_versions_own(load_tensorflow: Load) -> None:
    one, other = load_tensorflow("counter"), load_tensorflow("counter")

    for delta in (1, 2.5):
        one.run("add", {"delta": floats(delta)})

    assert one.run("serving_default", {})["count"] == 3.5
    assert other.run("serving_default", {})["count"] == 0
    one.run("reset", {})
    assert one.run("serving_default", {})["count"] == 0


def test_signatures_that_share_a_changing_variable_stay_together(saved_models: Path) -> None:
    model = choice.load(saved_models / "counter" / "1")

    model.run("add", {"delta": floats(4)})

    assert (model.runtime, model.best_rows) == ("tensorflow", 0)
    assert model.run("serving_default", {})["count"] == 4
    model.close()


def test_tables_and_assets_work_wherever_the_version_lies(saved_models: Path, tmp_path: Path) -> None:
    shutil.copytree(saved_models / "vocabulary" / "1", tmp_path / "elsewhere" / "00000007")

    model = choice.load(tmp_path / "elsewhere" / "00000007")

    assert model.run("serving_default", {"words": strings([b"ramp", b"ship", b"plane"])})["ids"].tolist() == [2, 0, -1]
    model.close()


def test_strings_stay_bytes_of_any_shape(load_tensorflow: Load) -> None:
    model = load_tensorflow("strings")

    for values in (b"one", [b"\x00\xff", b""], [[b"a"], [b"b"]], []):
        answer = model.run("serving_default", {"text": strings(values)})["text"]
        assert answer.dtype == object
        assert answer.tolist() == values
    assert model.run("upper", {"text": strings(b"ship")})["text"].tolist() == b"SHIP"


def test_every_dtype_passes_through(load_tensorflow: Load) -> None:
    model = load_tensorflow("many_types")
    sent = {
        alias: np.array([1, 0, 1]).astype(dtypes.numpy_dtype(spec.data_type))
        for alias, spec in model.signatures["everything"].inputs.items()
        if alias != "string"
    } | {"string": strings([b"\xff", b"", b"x"])}

    answer = model.run("everything", sent)

    assert {alias: (array.dtype, array.tolist()) for alias, array in answer.items()} == {
        alias: (array.dtype, array.tolist()) for alias, array in sent.items()
    }


def test_examples_are_parsed_by_the_graph(saved_models: Path) -> None:
    model = choice.load(saved_models / "half_plus_two" / "1")
    inputs = {"inputs": strings([example(x=[2]), example(x=[4], x2=[1])])}

    assert model.runtime == "openvino"
    assert model.run("regress_x_to_y", inputs)["outputs"].tolist() == [[3], [4]]
    assert model.run("classify_x_to_y", inputs)["scores"].tolist() == [[3], [4]]
    with pytest.raises(BadInput, match="Feature: x"):
        model.run("regress_x_to_y", {"inputs": strings([example(x2=[1])])})
    model.close()


def test_a_version_only_tensorflow_can_run_is_ready_when_it_is_loaded(
    load_tensorflow: Load, saved_models: Path
) -> None:
    model = choice.load(saved_models / "parsed_classifier" / "1")

    answer = model.run("serving_default", {"inputs": strings([example(x=[0.25, 0.75])])})

    assert model.runtime == "tensorflow"
    assert answer["classes"].tolist() == [[b"left", b"right"]]
    assert answer["scores"].tolist() == [[0.25, 0.75]]
    model.close()


def test_an_error_keeps_its_code_and_the_session_lives(load_tensorflow: Load) -> None:
    model = load_tensorflow("dense")

    with pytest.raises(BadInput, match="Matrix size-incompatible"):
        model.run("serving_default", {"x": np.ones((2, 5), np.float32)})

    assert model.run("serving_default", {"x": np.zeros((1, 4), np.float32)})["y"].tolist() == [[0, 0, 0]]


def test_a_broken_checkpoint_has_tensorflows_own_code(saved_models: Path, tmp_path: Path) -> None:
    version = Path(shutil.copytree(saved_models / "half_plus_three" / "1", tmp_path / "1"))
    (version / "variables" / "variables.data-00000-of-00001").write_bytes(b"short")

    with pytest.raises(ServingError) as caught:
        choice.load(version)

    assert "variables" in caught.value.message


def test_threads_are_taken_from_the_options(saved_models: Path) -> None:
    options = RuntimeOptions(runtime="tensorflow", intra_op_threads=1, inter_op_threads=3)

    model = choice.load(saved_models / "dense" / "1", options)

    assert model.parallel == 3
    assert model.run("serving_default", {"x": np.zeros((1, 4), np.float32)})["y"].shape == (1, 3)
    model.close()
