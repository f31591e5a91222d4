"""Load a version: each signature on the runtime that can answer it, OpenVINO before TensorFlow.

This is the door of the package: `load()` is what the model server and training's export call.
OpenVINO takes what it can convert, `host_side.py` what a card lets us prepare, TensorFlow the rest
where it is installed. It is not even imported before something needs it.
"""

import logging
import threading
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal

from numpy.typing import NDArray

from serving import memory, repository
from serving.card import CardError, ModelCard
from serving.errors import DataLoss, FailedPrecondition, Unimplemented
from serving.modelserver.runtimes import (
    graph,
    host_side,
    machine,
    on_openvino,
    openvino_conversion,
    openvino_quantized,
    saved_model,
)
from serving.modelserver.runtimes.drain import Drain
from serving.modelserver.runtimes.host_side import Runner
from serving.modelserver.runtimes.on_openvino import MANY, BeyondThirtyTwoBits, OpenVinoSignature, own_rows, settings
from serving.modelserver.runtimes.on_tensorflow import TensorFlowSession
from serving.modelserver.runtimes.openvino_conversion import NotConvertible
from serving.modelserver.runtimes.protocol import (
    DEFAULT_SIGNATURE,
    LoadedModel,
    Precision,
    RuntimeOptions,
    Signature,
    Tensors,
)
from serving.modelserver.runtimes.saved_model import Bundle

_LOG = logging.getLogger(__name__)

Settled = Literal["f32", "bf16", "int8"]
_QUICK: tuple[Settled, ...] = ("bf16", "int8")
"""In the order in which auto prefers them."""
_MAKE_INT8 = "train or import it again with --int8, which writes and measures that form"
INSTALL = "TensorFlow is not installed here; install it with: pip install -r requirements/training.txt"


def load(folder: Path, options: RuntimeOptions | None = None) -> LoadedModel:
    """Load the version in a folder, compiled and warmed.

    Raises:
        NotFound: no SavedModel there, or none with the wanted tags.
        DataLoss: a file is damaged, or is not the one that the version's card names.
        CardError: the card cannot be read, or has other labels than the graph has probabilities.
        Unimplemented: its serving_default cannot run here; the text says what to install.
        ServingError: whatever else the runtime reports.
    """
    wanted = options or RuntimeOptions()
    bundle = saved_model.read(folder, wanted.tags)
    card = repository.read_card(folder)
    if card is not None:
        repository.verify(folder, card)
        _hold_labels(card, bundle.signatures)
    model = ServedModel(bundle, card, wanted)
    del bundle
    memory.give_back()
    return model


def _hold_labels(card: ModelCard, signatures: Mapping[str, Signature]) -> None:
    """Refuse a card whose labels cannot be those of the graph's probabilities, as far as their shape is stated."""
    signature = signatures.get(card.signatures.get("default", DEFAULT_SIGNATURE))
    spec = signature.outputs.get("probabilities") if signature is not None else None
    if spec is None or spec.shape is None or not card.labels:
        return
    if len(spec.shape) != 2 or spec.shape[1] not in (-1, len(card.labels)):
        raise CardError(
            f"the card names {len(card.labels)} labels, and the graph's probabilities have the shape "
            f"{list(spec.shape)}: export or import this version again with the labels that it was trained on"
        )


class ServedModel:
    """A LoadedModel whose signatures may run in different places."""

    def __init__(self, bundle: Bundle, card: ModelCard | None, options: RuntimeOptions) -> None:
        """Load what must be there before the first call; raises as `load` does."""
        self.signatures: Mapping[str, Signature] = bundle.signatures
        self.signature_defs: Mapping[str, Any] = bundle.signature_defs
        self.card = card
        self._drain = Drain()
        self._tensorflow = _LaterTensorFlow(bundle, options)
        self._compiled: dict[str, OpenVinoSignature] = {}
        self._reasons: dict[str, str] = {}
        self._runners: dict[str, Runner] = {}
        changes = any(graph.writes_state(graph.operations(bundle, one)) for one in bundle.signatures.values())
        try:
            self.precision = self._compile(bundle, card, options, changes)
            self._runners = self._host_and_compiled()
            self._require_default()
        except BaseException:
            self.close()
            raise
        first = DEFAULT_SIGNATURE if DEFAULT_SIGNATURE in self.signatures else next(iter(self._compiled), "")
        self.runtime = "openvino" if self._compiled and first in self._runners else "tensorflow"
        compiled = [signature.parallel for signature in self._compiled.values()]
        self.parallel = max(compiled, default=options.inter_op_threads or machine.cores())
        default = bundle.signatures.get(DEFAULT_SIGNATURE)
        answers = self._compiled.get(DEFAULT_SIGNATURE)
        merges = default is not None and not changes and _has_rows(default)
        self.best_rows = 0 if not merges else answers.best_rows if answers else MANY

    def shares_run(self, signatures: Collection[str]) -> bool:
        """See LoadedModel.shares_run: TensorFlow can, where the same tensors are fed."""
        fed = {tuple(spec.name for spec in self.signatures[name].inputs.values()) for name in signatures}
        return len(fed) == 1 and not any(name in self._runners for name in signatures)

    def run(self, signature: str, inputs: Tensors, outputs: Collection[str] | None = None) -> dict[str, NDArray[Any]]:
        """See LoadedModel.run."""
        if signature not in self.signatures:
            raise FailedPrecondition(f'Serving signature key "{signature}" not found.')
        with self._drain.use():
            if signature not in self._runners:
                return self._elsewhere(signature).run(signature, inputs, outputs)
            try:
                return self._runners[signature](inputs, outputs)
            except BeyondThirtyTwoBits as error:
                if not self._tensorflow.installed:
                    raise BeyondThirtyTwoBits(f"{error.message}. {INSTALL}") from error
                return self._tensorflow.session().run(signature, inputs, outputs)

    def close(self) -> None:
        """Free every runtime's part, after the runs under way."""
        if self._drain.close():
            self._runners.clear()
            for signature in self._compiled.values():
                signature.close()
            self._compiled.clear()
            self._tensorflow.close()
            memory.give_back()

    def _compile(self, bundle: Bundle, card: ModelCard | None, options: RuntimeOptions, changes: bool) -> str:
        """Compile every signature that converts, and remember why the others do not; returns the precision.

        Whoever wrote a card has compared the answers to batches with Keras': of such a version it is known
        that the rows of a request may be computed apart.
        """
        why_none = _without_openvino(options, changes and self._tensorflow.installed)
        if why_none:
            self._reasons = dict.fromkeys(bundle.signatures, why_none)
            return "f32"
        precision = settled_precision(options.precision, card, imitate=options.imitate)
        forms = openvino_quantized.forms(bundle) if precision == "int8" else ()
        for name, signature in bundle.signatures.items():
            read = openvino_quantized.converted if name in forms else openvino_conversion.convert
            try:
                self._compiled[name] = OpenVinoSignature(
                    bundle,
                    signature,
                    settings(options, precision),
                    read,
                    own_rows(graph.operations(bundle, signature), precision) if card is not None else (),
                )
            except NotConvertible as error:
                self._reasons[name] = f"OpenVINO cannot run it: {error}"
            except DataLoss as error:
                if not self._tensorflow.installed:
                    raise
                self._reasons[name] = error.message
        return precision

    def _host_and_compiled(self) -> dict[str, Runner]:
        compiled = {name: signature.run for name, signature in self._compiled.items()}
        return compiled | (host_side.runners(self.card, self.signatures, compiled) if self.card else {})

    def _require_default(self) -> None:
        """Have serving_default ready, or any signature where there is no such one."""
        missing = [name for name in (DEFAULT_SIGNATURE,) if name in self.signatures and name not in self._runners]
        if missing or (self.signatures and not self._runners):
            self._elsewhere((missing or list(self.signatures))[0])

    def _elsewhere(self, signature: str) -> TensorFlowSession:
        if not self._tensorflow.installed:
            raise Unimplemented(f"Signature {signature} cannot run here. {self._reasons[signature]}. {INSTALL}")
        return self._tensorflow.session()


class _LaterTensorFlow:
    """The version on TensorFlow, loaded when it is first asked for."""

    def __init__(self, bundle: Bundle, options: RuntimeOptions) -> None:
        self.installed = options.runtime != "openvino" and machine.installed("tensorflow")
        self._folder, self._signatures, self._options = bundle.folder, bundle.signatures, options
        self._lock = threading.Lock()
        self._session: TensorFlowSession | None = None

    def session(self) -> TensorFlowSession:
        with self._lock:
            if self._session is None:
                self._session = TensorFlowSession(self._folder, self._signatures, self._options)
            return self._session

    def close(self) -> None:
        if self._session is not None:
            self._session.close()


def settled_precision(asked: Precision, card: ModelCard | None, *, imitate: bool = False) -> Settled:
    """What `--precision` comes to for one version on this CPU.

    auto takes bfloat16, else int8, where the CPU has it and the card allows it; a card that does not
    allow a precision is never overruled. Where both could be had, int8 was no faster (on a CPU with AMX).
    """
    if asked == "auto":
        allowed = card.allowed_precisions if card is not None else ()
        return next((one for one in _QUICK if one in allowed and _has(one)), "f32")
    if asked == "f32":
        return "f32"
    if refusal := _refusal(asked, card, imitate):
        name = card.name if card else "A version"
        _LOG.warning("%s is served in f32 although %s was asked for: %s", name, asked, refusal)
        return "f32"
    return asked


def _refusal(asked: Settled, card: ModelCard | None, imitate: bool) -> str:
    """Why a version is not served in the asked precision; empty if it is."""
    if card is None and asked == "int8":
        return "it has no card, which would say that its int8 form was measured"
    if card is not None and asked not in card.allowed_precisions:
        return "its card does not allow it" + (f" ({_MAKE_INT8})" if asked == "int8" else "")
    return "" if imitate or _has(asked) else "this CPU does not have it"


def _has(precision: Settled) -> bool:
    return on_openvino.has_bfloat16() if precision == "bf16" else machine.multiplies_int8()


def _without_openvino(options: RuntimeOptions, one_state: bool) -> str:
    """Why OpenVINO is not to be asked at all; empty if it is."""
    if options.runtime == "tensorflow":
        return "The TensorFlow runtime was asked for"
    if not machine.installed("openvino"):
        return "OpenVINO is not installed here either (pip install -r requirements/openvino.txt)"
    return "Its signatures share variables that change" if one_state else ""


def _has_rows(signature: Signature) -> bool:
    """Whether all inputs and outputs are batches, so that rows of several requests can be computed together."""
    sides = (*signature.inputs.values(), *signature.outputs.values())
    return bool(signature.inputs) and all(spec.shape is not None and spec.shape[:1] == (-1,) for spec in sides)
