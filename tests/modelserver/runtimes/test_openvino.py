"""What is particular to OpenVINO: where it would be wrong it is not used, and what it is told about the machine."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.card import Dataset, ImageInput, ModelCard
from serving.errors import BadInput, DataLoss, OutOfRange
from serving.modelserver.runtimes import choice, on_openvino, openvino_compiled, saved_model
from serving.modelserver.runtimes.on_openvino import OpenVinoSignature
from serving.modelserver.runtimes.openvino_conversion import NotConvertible
from serving.modelserver.runtimes.precision import settled_precision
from serving.modelserver.runtimes.protocol import RuntimeOptions, Signature, TensorSpec
from serving.modelserver.runtimes.saved_model import Bundle
from serving.wire import dtypes
from serving.wire.protos import MetaGraphDef
from tests.modelserver.runtimes.conftest import Load, floats

pytest.importorskip("openvino", reason="needs OpenVINO: make install")

F32 = on_openvino.settings(RuntimeOptions(), "f32")
CARD = ModelCard(
    name="ships",
    version=1,
    task="image_classification",
    labels=("sail", "steam"),
    input=ImageInput(height=8, width=8),
    dataset=Dataset(name="none", source="sample"),
    created="2026-01-31T12:00:00Z",
)


def of_itself(data_type: int, operation: str) -> Bundle:
    """A graph with one operation on x and x, in any dtype."""
    graph = MetaGraphDef()
    x = graph.graph_def.node.add(name="x", op="Placeholder")
    x.attr["dtype"].type = data_type
    x.attr["shape"].shape.dim.add(size=-1)
    graph.graph_def.node.add(name="y", op=operation, input=["x", "x"]).attr["T"].type = data_type
    definition = graph.signature_def["serving_default"]
    for side, alias in ((definition.inputs, "x"), (definition.outputs, "y")):
        side[alias].name, side[alias].dtype = f"{alias}:0", data_type
        side[alias].tensor_shape.dim.add(size=-1)
    specs = {alias: TensorSpec(data_type, (-1,), f"{alias}:0") for alias in "xy"}
    signature = Signature("serving_default", {"x": specs["x"]}, {"y": specs["y"]})
    return Bundle(
        Path("nowhere"), graph, {signature.name: signature}, dict(graph.signature_def), False, frozenset(), ()
    )


def compiled(data_type: int, operation: str = "AddV2") -> OpenVinoSignature:
    bundle = of_itself(data_type, operation)
    return OpenVinoSignature(openvino_compiled.compiled(bundle, bundle.signatures["serving_default"], F32))


@pytest.mark.parametrize("kind", ["int64", "uint32", "uint64"])
def test_wide_integers_are_compared_while_they_fit_and_refused_beyond(kind: str) -> None:
    model = compiled(dtypes.data_type(np.dtype(kind)), "Maximum")

    assert model.run({"x": np.array([2, 2_000_000_000], kind)}, None)["y"].tolist() == [2, 2_000_000_000]
    with pytest.raises(OutOfRange, match="x holds values beyond 32 bits"):
        model.run({"x": np.array([2**31], kind)}, None)


def test_double_precision_is_not_computed_in_single() -> None:
    with pytest.raises(NotConvertible, match="double precision"):
        compiled(dtypes.DOUBLE)


def test_complex_numbers_are_not_taken_for_real_ones() -> None:
    with pytest.raises(NotConvertible, match="x is of type complex64"):
        compiled(dtypes.COMPLEX64)


@pytest.mark.parametrize("name", ["add", "reset"])
def test_what_changes_variables_is_left_alone(saved_models: Path, name: str) -> None:
    bundle = saved_model.read(saved_models / "counter" / "1")

    with pytest.raises(NotConvertible, match="changes variables"):
        openvino_compiled.compiled(bundle, bundle.signatures[name], F32)


def test_an_unforeseen_shape_is_read_from_the_file_that_was_loaded(saved_models: Path, tmp_path: Path) -> None:
    version = Path(shutil.copytree(saved_models / "half_plus_three" / "1", tmp_path / "1"))
    model = choice.load(version, RuntimeOptions(runtime="openvino"))
    shutil.rmtree(version)

    with pytest.raises(BadInput, match=r"^Send inputs of the shape that the signature states"):
        model.run("serving_default", {"x": floats([1, 2])})
    shutil.copytree(saved_models / "dense" / "1", version)
    with pytest.raises(BadInput, match="was replaced on disk"):
        model.run("serving_default", {"x": floats([1, 2])})

    assert model.run("serving_default", {"x": floats([[2]])})["y"].tolist() == [[4]]
    model.close()


@pytest.fixture(scope="module")
def dense(saved_models: Path) -> OpenVinoSignature:
    bundle = saved_model.read(saved_models / "dense" / "1")
    return OpenVinoSignature(openvino_compiled.compiled(bundle, bundle.signatures["serving_default"], F32))


@settings(max_examples=60, deadline=None)
@given(shape=st.lists(st.integers(0, 6) | st.just(4), max_size=5))
def test_any_shape_gives_the_right_product_or_an_error(dense: OpenVinoSignature, shape: list[int]) -> None:
    x = np.arange(np.prod(shape, dtype=int), dtype=np.float32).reshape(shape)
    weights = np.arange(12, dtype=np.float32).reshape(4, 3)

    try:
        y = dense.run({"x": x}, None)["y"]
    except BadInput:
        assert not shape or shape[-1] != 4
    else:
        np.testing.assert_allclose(y, x @ weights, rtol=1e-4)


def test_a_graph_whose_rows_depend_on_each_other_is_asked_about_every_shape(saved_models: Path) -> None:
    model = choice.load(saved_models / "two_inputs" / "1", RuntimeOptions(runtime="openvino"))

    for rows, others, fits in ((2, 2, True), (2, 3, False), (3, 3, True), (3, 1, True), (3, 2, False)):
        inputs = {"a": np.ones((rows, 2), np.float32), "b": np.ones((others, 2), np.float32)}
        if fits:
            assert (model.run("serving_default", inputs)["sum"] == 2).all()
        else:
            with pytest.raises(BadInput, match=r"cannot take inputs of shape \[\d, 2\], \[\d, 2\]"):
                model.run("serving_default", inputs)
    model.close()


def test_nothing_stays_behind_in_the_folder_for_passing_files(
    saved_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    choice.load(saved_models / "clashing_names" / "1", RuntimeOptions(runtime="openvino")).close()

    assert not list(tmp_path.iterdir())


def test_a_plain_model_is_loaded_where_nothing_can_be_written(
    saved_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "does not exist"))

    model = choice.load(saved_models / "half_plus_three" / "1", RuntimeOptions(runtime="openvino"))

    assert model.run("serving_default", {"x": floats([[2]])})["y"].tolist() == [[4]]
    model.close()


@pytest.mark.parametrize(
    ("threads", "streams", "expected"),
    [(1, 0, 1), (2, 0, 2), (3, 0, 2), (8, 0, 4), (8, 1, 1), (2, 2, 2)],
)
def test_streams_follow_the_threads_unless_given(threads: int, streams: int, expected: int) -> None:
    made = on_openvino.settings(RuntimeOptions(threads=threads, streams=streams), "f32")

    assert (made["INFERENCE_NUM_THREADS"], made["NUM_STREAMS"]) == (threads, expected)


@pytest.mark.parametrize(
    ("operations", "options", "in_the_calling_thread"),
    [
        ({"GatherV2", "Mul", "Sum", "Softmax"}, RuntimeOptions(), True),
        ({"GatherV2", "MatMul", "Softmax"}, RuntimeOptions(), False),
        ({"Conv2D", "Mean"}, RuntimeOptions(), False),
        ({"StatelessWhile"}, RuntimeOptions(), False),
        ({"GatherV2", "Sum"}, RuntimeOptions(streams=1), False),
        ({"GatherV2", "Sum"}, RuntimeOptions(threads=2), False),
    ],
)
def test_a_graph_that_only_looks_up_and_adds_is_computed_in_the_calling_thread(
    operations: set[str], options: RuntimeOptions, in_the_calling_thread: bool
) -> None:
    made = on_openvino.settings(options, "f32", operations)

    assert (made["NUM_STREAMS"] == 0) is in_the_calling_thread


def test_as_many_calls_run_at_once_as_there_are_streams(saved_models: Path) -> None:
    one = choice.load(saved_models / "dense" / "1", RuntimeOptions(runtime="openvino", threads=2, streams=1))
    two = choice.load(saved_models / "dense" / "1", RuntimeOptions(runtime="openvino", threads=2, streams=2))

    assert (one.parallel, two.parallel) == (1, 2)
    one.close()
    two.close()


def test_bfloat16_is_for_cpus_that_have_it_and_cards_that_allow_it() -> None:
    allowing = dataclasses.replace(CARD, allowed_precisions=("f32", "bf16"))
    here = "bf16" if on_openvino.has_bfloat16() else "f32"

    assert settled_precision("auto", None) == "f32"
    assert settled_precision("auto", CARD) == "f32"
    assert settled_precision("auto", allowing) == here
    assert settled_precision("f32", allowing) == "f32"
    assert settled_precision("bf16", None) == here


def test_a_card_is_never_overruled_about_its_precision(caplog: pytest.LogCaptureFixture) -> None:
    assert settled_precision("bf16", CARD) == "f32"
    assert "ships is served in f32 although bf16 was asked for" in caplog.text


def test_a_damaged_default_is_told_apart_from_one_that_cannot_be_converted(saved_models: Path, tmp_path: Path) -> None:
    bundle = saved_model.read(saved_models / "half_plus_three" / "1")
    (tmp_path / "saved_model.pb").write_bytes((bundle.folder / "saved_model.pb").read_bytes())
    (tmp_path / "variables").mkdir()
    (tmp_path / "variables" / "variables.index").write_bytes(b"")

    with pytest.raises(DataLoss):
        choice.load(tmp_path, RuntimeOptions(runtime="openvino"))


def test_a_batch_of_pictures_gives_what_each_picture_gives(load_openvino: Load) -> None:
    model = load_openvino("convolutions")
    pictures = np.random.default_rng(1).integers(0, 256, (9, 24, 24, 3), np.uint8)

    together = model.run("serving_default", {"image": pictures})["probabilities"]
    alone = [model.run("serving_default", {"image": one[None]})["probabilities"][0] for one in pictures]

    np.testing.assert_allclose(together, alone, atol=1e-6)
    assert len({row.tobytes() for row in together}) == len(pictures)
