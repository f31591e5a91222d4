"""The int8 form of a saved picture model: written beside it, measured, and allowed only if it holds.

OpenVINO's NNCF picks the ranges on pictures of the training split; what comes out is judged on the
test split, by the code that will serve it. `export.py` asks for it once the SavedModel is written;
`serving/modelserver/runtimes/openvino_quantized.py` reads it.
"""

import contextlib
import logging
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.card import ImageInput, Input, ModelCard, Parity, Quality
from serving.errors import BadInput
from serving.modelserver.runtimes import openvino_conversion, openvino_quantized, saved_model
from serving.modelserver.runtimes.protocol import RuntimeOptions
from training import parity, quality, saved_model_writer
from training.prepared_cache import PreparedData

LEAST_AGREEMENT = 0.99
"""Share of first places on the test split that int8 must keep."""
CALIBRATION_PICTURES = 300
"""As NNCF takes by itself; spread evenly over the training split."""
_BATCH = 32

Batches = Sequence[NDArray[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """What int8 is made with and judged on; uint8 [N, H, W, C] in batches."""

    calibration: Batches
    """Of the training split, so that the test split stays unseen."""
    test: Batches
    labels: NDArray[Any]
    """int [N], of `test`, one after the other."""


def check(spec: Input, name: str) -> None:
    """Refuse what gains nothing from int8, before the work and not after it.

    Raises:
        BadInput: a model of texts or tables.
    """
    if not isinstance(spec, ImageInput):
        raise BadInput(f"--int8 is for models of pictures, {name} is none: leave it away")


def pictures(data: PreparedData, spec: Input, labels: tuple[str, ...]) -> Pictures:
    """The pictures of a prepared data set; `labels` are the model's, which may stand in another order."""
    assert isinstance(spec, ImageInput)
    places = np.array([labels.index(label) for label in data.labels])
    rows = np.unique(np.linspace(0, len(data.train) - 1, min(len(data.train), CALIBRATION_PICTURES)).astype(int))
    everything = np.arange(len(data.test))
    return Pictures(
        calibration=[np.asarray(data.train.batch(some, spec)) for some in _cut(rows)],
        test=[np.asarray(data.test.batch(some, spec)) for some in _cut(everything)],
        labels=places[data.test.labels],
    )


def _cut(rows: NDArray[Any]) -> Iterator[NDArray[Any]]:
    return (rows[start : start + _BATCH] for start in range(0, len(rows), _BATCH))


def added(folder: Path, card: ModelCard, answer: parity.Answer, given: Pictures) -> tuple[ModelCard, tuple[str, ...]]:
    """Write the int8 form into a version's folder and measure it; it stays only if it is good enough.

    Args:
        folder: a whole version; the card in it allows int8, so that it can be tried.
        card: what will be published, with the quality measured on the same test split.
        answer: the Keras model.
        given: pictures.

    Returns:
        The card with the measured parity, int8 allowed or not, and a remark where it is not.
    """
    with saved_model_writer.disk_errors():
        write(folder, card.signatures["default"], given.calibration)
    options = RuntimeOptions(runtime="openvino", precision="int8", imitate=True)
    theirs = parity.answers(folder, options, card, given.test)
    ours = parity.together([answer(batch) for batch in given.test])
    measured = parity.measured(options, ours, theirs, card.anomaly_threshold)
    card = replace(card, parity=(*card.parity, measured))
    int8, keras = (quality.measure(one["probabilities"], given.labels) for one in (theirs, ours))
    if refusal := judged(measured, int8, keras):
        shutil.rmtree(folder / openvino_quantized.FOLDER)
        return card, (f"int8 was written, measured and thrown away: {refusal}",)
    return replace(card, allowed_precisions=(*card.allowed_precisions, "int8")), ()


def judged(measured: Parity, int8: Quality, keras: Quality) -> str:
    """Why int8 may not serve; empty if it may: agreement high enough, accuracy not under Keras' 95 % interval."""
    if measured.top1_agreement < LEAST_AGREEMENT:
        return (
            f"it agrees with Keras on {measured.top1_agreement:.2%} of {measured.examples} test pictures, "
            f"and {LEAST_AGREEMENT:.0%} is asked"
        )
    assert keras.accuracy_low is not None
    if int8.accuracy < keras.accuracy_low:
        return f"its accuracy of {int8.accuracy:.2%} is under the interval, which begins at {keras.accuracy_low:.2%}"
    return ""


def write(folder: Path, signature: str, calibration: Batches) -> Path:
    """Quantize one signature of a SavedModel with one input; returns the file.

    Raises:
        ServingError: the SavedModel cannot be read.
        OSError: no space, no permission.
    """
    import nncf
    import openvino

    logging.getLogger("nncf").setLevel(logging.ERROR)
    bundle = saved_model.read(folder)
    model = openvino_conversion.convert(bundle, bundle.signatures[signature]).model
    singles = [picture[None] for batch in calibration for picture in batch]
    with _progress_on_stderr():
        quantized = nncf.quantize(
            model,
            nncf.Dataset(singles),
            subset_size=len(singles),
            ignored_scope=nncf.IgnoredScope(patterns=[".*/anomaly.*"], validate=False),  # distances need their digits
        )
    path = openvino_quantized.file_of(folder, signature)
    path.parent.mkdir(parents=True)
    openvino.save_model(quantized, path, compress_to_fp16=False)
    return path


@contextlib.contextmanager
def _progress_on_stderr() -> Iterator[None]:
    """NNCF draws its bars on stdout: on stderr they are out of the way, and without a terminal nobody looks."""
    with contextlib.ExitStack() as stack:
        shown = sys.stderr if sys.stderr.isatty() else stack.enter_context(open(os.devnull, "w"))
        stack.enter_context(contextlib.redirect_stdout(shown))
        yield
