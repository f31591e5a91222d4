"""The converted graph of a signature, kept only while it is needed: it holds all weights a second time."""

import threading
from collections.abc import Callable

from serving.errors import BadInput, ServingError
from serving.modelserver.runtimes.openvino_conversion import Converted, NotConvertible


class Source:
    """A converted signature that can be let go of and read again from the version's files."""

    def __init__(self, converted: Converted | None, read_again: Callable[[], Converted]) -> None:
        self._converted = converted
        self._read_again = read_again
        self._lock = threading.Lock()

    def get(self) -> Converted:
        """The signature as it was converted; read again, it may have its ports in other places.

        Raises:
            BadInput: it was let go of, and the files have gone since. Only requests of a shape that
                the signature does not state come here, so the reader is told about that.
        """
        with self._lock:
            if self._converted is None:
                try:
                    self._converted = self._read_again()
                except (ServingError, NotConvertible) as error:
                    raise BadInput(f"Send inputs of the shape that the signature states: {error}") from error
            return self._converted

    def forget(self) -> None:
        """Let go of the weights."""
        with self._lock:
            self._converted = None
