"""Load a version: each signature on the runtime that can answer it, OpenVINO before TensorFlow.

This is the door of the package: `load()` is what the model server and training's export call.
OpenVINO takes what it can convert, `host_side.py` what a card lets us prepare, TensorFlow the rest
where it is installed. It is not even imported before something needs it.
"""

import threading
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from serving import memory
from serving.errors import FailedPrecondition, Unimplemented
from serving.modelserver.runtimes import compiled_version, host_side, machine
from serving.modelserver.runtimes.compiled_version import CompiledVersion
from serving.modelserver.runtimes.drain import Drain
from serving.modelserver.runtimes.host_side import Runner
from serving.modelserver.runtimes.on_openvino import BeyondThirtyTwoBits, OpenVinoSignature
from serving.modelserver.runtimes.on_tensorflow import TensorFlowSession
from serving.modelserver.runtimes.openvino_compiled import MANY
from serving.modelserver.runtimes.protocol import (
    DEFAULT_SIGNATURE,
    LoadedModel,
    RuntimeOptions,
    Signature,
    Tensors,
)
from serving.modelserver.runtimes.saved_model import Bundle
from serving.placement import spread_out

_INSTALL = "TensorFlow is not installed here; install it with: pip install -r requirements/training.txt"
_ALLOW = "--runtime=openvino keeps TensorFlow out; start the server with --runtime=auto"


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
    return served(compiled_version.read(folder, wanted), wanted)


def served(version: CompiledVersion, options: RuntimeOptions) -> LoadedModel:
    """The version, warmed and ready to run; raises as `load` does where TensorFlow has to."""
    model = ServedModel(version, options)
    del version  # the graph goes with it, so that there is something to give back
    memory.give_back()
    return model


class ServedModel:
    """A LoadedModel whose signatures may run in different places."""

    def __init__(self, version: CompiledVersion, options: RuntimeOptions) -> None:
        """Have ready what must be there before the first call; raises as `load` does."""
        bundle = version.bundle
        self.signatures: Mapping[str, Signature] = bundle.signatures
        self.signature_defs: Mapping[str, Any] = bundle.signature_defs
        self.card = version.card
        self.precision = version.precision
        self._drain = Drain()
        self._tensorflow = _LaterTensorFlow(bundle, options)
        self._compiled: dict[str, OpenVinoSignature] = {}
        self._reasons = version.reasons
        self._runners: dict[str, Runner] = {}
        try:
            self._compiled.update({name: OpenVinoSignature(one) for name, one in version.compiled.items()})
            self._runners = self._host_and_compiled()
            self._require_default()
        except BaseException:
            self.close()
            raise
        first = DEFAULT_SIGNATURE if DEFAULT_SIGNATURE in self.signatures else next(iter(self._compiled), "")
        self.runtime = "openvino" if self._compiled and first in self._runners else "tensorflow"
        compiled = [signature.parallel for signature in self._compiled.values()]
        self.parallel = max(compiled, default=options.inter_op_threads or machine.cores())
        self.best_rows = self._best_rows(version.changes)

    def _best_rows(self, changes: bool) -> int:
        """See LoadedModel.best_rows. A graph may as well subtract the mean of all rows: only a card says otherwise."""
        default = self.signatures.get(DEFAULT_SIGNATURE)
        if default is None or changes or not default.has_rows:
            return 0
        if self.card is None:
            return 1
        answers = self._compiled.get(DEFAULT_SIGNATURE)
        return answers.best_rows if answers else MANY

    def shares_run(self, signatures: Collection[str]) -> bool:
        """See LoadedModel.shares_run: TensorFlow can, where the same tensors are fed."""
        fed = {tuple(spec.name for spec in self.signatures[name].inputs.values()) for name in signatures}
        return len(fed) == 1 and not any(name in self._runners for name in signatures)

    def run(
        self,
        signature: str,
        inputs: Tensors,
        outputs: Collection[str] | None = None,
        deadline: float | None = None,
    ) -> dict[str, NDArray[Any]]:
        """See LoadedModel.run."""
        if signature not in self.signatures:
            raise FailedPrecondition(f'Serving signature key "{signature}" not found.')
        with self._drain.use():
            if signature not in self._runners:
                return self._elsewhere(signature).run(signature, inputs, outputs, deadline)
            try:
                return self._runners[signature](inputs, outputs)
            except BeyondThirtyTwoBits as error:
                if not self._tensorflow.allowed:
                    raise BeyondThirtyTwoBits(f"{error.message}. {self._tensorflow.why_not}") from error
                return self._tensorflow.session().run(signature, inputs, outputs, deadline)

    def break_off(self) -> None:
        """See LoadedModel.break_off: OpenVINO's runs cannot be ended."""
        self._tensorflow.break_off()

    def close(self) -> None:
        """Free every runtime's part, after the runs under way."""
        if self._drain.close():
            self._runners.clear()
            for signature in self._compiled.values():
                signature.close()
            self._compiled.clear()
            self._tensorflow.close()
            memory.give_back()

    def _host_and_compiled(self) -> dict[str, Runner]:
        compiled = {name: signature.run for name, signature in self._compiled.items()}
        return compiled | (host_side.runners(self.card, self.signatures, compiled) if self.card else {})

    def _require_default(self) -> None:
        """Have serving_default ready, or any signature where there is no such one."""
        if DEFAULT_SIGNATURE in self.signatures:
            if DEFAULT_SIGNATURE not in self._runners:
                self._elsewhere(DEFAULT_SIGNATURE)
        elif self.signatures and not self._runners:
            self._elsewhere(next(iter(self.signatures)))

    def _elsewhere(self, signature: str) -> TensorFlowSession:
        if not self._tensorflow.allowed:
            raise Unimplemented(
                f"Signature {signature} cannot run here. {self._reasons[signature]}. {self._tensorflow.why_not}"
            )
        return self._tensorflow.session()


class _LaterTensorFlow:
    """The version on TensorFlow, loaded when it is first asked for."""

    def __init__(self, bundle: Bundle, options: RuntimeOptions) -> None:
        self.allowed = compiled_version.tensorflow_may(options)
        self.why_not = _ALLOW if machine.installed("tensorflow") else _INSTALL
        """Where it is not allowed: what would help."""
        self._folder, self._signatures, self._options = bundle.folder, bundle.signatures, options
        self._lock = threading.Lock()
        self._session: TensorFlowSession | None = None

    def session(self) -> TensorFlowSession:
        with self._lock:
            if self._session is None:
                with spread_out():
                    self._session = TensorFlowSession(self._folder, self._signatures, self._options)
            return self._session

    def break_off(self) -> None:
        session = self._session  # close() may take it away meanwhile
        if session is not None:
            session.break_off()

    def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()
