"""Tight loops in a process of their own: the bare work that servers are compared with.

`Loop("openvino", folder)` starts `python -m tests.bench.loops openvino FOLDER`, which loads, warms up and
waits. For every line `{"seconds": ..., "size": ...}` on stdin it works for so long and answers with what it
did and the CPU that it took, all its threads together; between the lines it takes none.

Kinds: `openvino` calls the compiled model with single pictures from `size` threads; `tensorflow` calls the
SavedModel with batches of `size`; `photos` decodes JPEG files and calls the compiled model, `size` threads.
"""

import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from serving import repository
from serving.modelserver.runtimes import openvino_quantized
from serving.modelserver.runtimes.on_openvino import settings
from serving.modelserver.runtimes.precision import settled_precision
from serving.modelserver.runtimes.protocol import RuntimeOptions
from serving.preprocess.image import to_pixels
from tests.bench.models import PICTURE, SIDE
from tests.processes import CHECKOUT

Turn = Callable[[], None]
Work = Callable[[int], tuple[list[Turn], int]]
"""For a size: turns to be taken side by side, and how many pictures each stands for."""


class Loop:
    """One such process; use it as a context manager."""

    def __init__(self, kind: str, *arguments: Path | str) -> None:
        command = [sys.executable, "-m", "tests.bench.loops", kind, *map(str, arguments)]
        pipe = subprocess.PIPE
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115  # as long as this Loop
        self.process = subprocess.Popen(command, cwd=CHECKOUT, stdin=pipe, stdout=pipe, stderr=self._said, text=True)

    def __enter__(self) -> Self:
        """Loaded and warm."""
        self._read()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ended."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()
        self._said.close()

    def spell(self, seconds: float, size: int = 1) -> dict[str, float]:
        """Work for so long; `cpu_ms` is for one picture."""
        assert self.process.stdin
        self.process.stdin.write(json.dumps({"seconds": seconds, "size": size}) + "\n")
        self.process.stdin.flush()
        done = self._read()
        return {
            "cpu_ms": 1000 * done["cpu_s"] / done["pictures"],
            "per_second": done["pictures"] / done["seconds"],
        }

    def _read(self) -> dict[str, float]:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            self._said.seek(0)
            raise RuntimeError(f"{self.process.args!r} ended: {self._said.read()[-2000:]}")
        found: dict[str, float] = json.loads(line)
        return found


def spell(turns: list[Turn], pictures: int, seconds: float) -> Mapping[str, float]:
    """Let each turn be taken over and over in a thread of its own; every turn stands for so many pictures."""

    def work(turn: Turn) -> int:
        until, count = time.perf_counter() + seconds, 0
        while time.perf_counter() < until:
            turn()
            count += 1
        return count

    cpu, started = time.process_time(), time.perf_counter()
    with ThreadPoolExecutor(len(turns)) as pool:
        counts = list(pool.map(work, turns))
    took = {"cpu_s": time.process_time() - cpu, "seconds": time.perf_counter() - started}
    return {"pictures": pictures * sum(counts), **took}


def _pictures(count: int) -> Any:
    return np.random.default_rng(1).integers(0, 256, (count, SIDE, SIDE, 3), np.uint8)


def _compiled(folder: Path) -> tuple[Any, Any]:
    """The module openvino and the model with the server's settings and its number of rows, one.

    A program for any number, as it stands in the file, takes an eighth more: a limit that is easily reached.
    """
    import openvino

    core = openvino.Core()
    precision = settled_precision("auto", repository.read_card(folder))
    read = openvino_quantized.file_of(folder, "serving_default") if precision == "int8" else folder
    model = core.read_model(read)
    model.reshape({port: [1, *list(port.partial_shape)[1:]] for port in model.inputs})
    return openvino, core.compile_model(model, "CPU", settings(RuntimeOptions(), precision))


def _infer(openvino: Any, compiled: Any) -> Callable[[Any], None]:
    request = compiled.create_infer_request()

    def infer(picture: Any) -> None:
        own = picture if picture.flags.writeable else picture.copy()  # OpenVINO takes no read-only memory
        request.set_input_tensor(0, openvino.Tensor(own, shared_memory=True))
        request.infer()

    return infer


def openvino_turn(folder: Path) -> Callable[[], Turn]:
    """Calls of the compiled model with single pictures."""
    openvino, compiled = _compiled(folder)

    def make() -> Turn:
        infer, pictures = _infer(openvino, compiled), itertools.cycle([picture[None] for picture in _pictures(16)])
        return lambda: infer(next(pictures))

    return make


def photo_turn(folder: Path, photos: Path) -> Callable[[], Turn]:
    """From the bytes of a photo to its probabilities."""
    openvino, compiled = _compiled(folder)
    files = [path.read_bytes() for path in sorted(photos.rglob("*.jpg"))]

    def make() -> Turn:
        infer, turn = _infer(openvino, compiled), itertools.cycle(files)
        return lambda: infer(to_pixels(next(turn), PICTURE)[None])

    return make


def in_threads(make: Callable[[], Turn]) -> Work:
    """One picture a turn, in as many threads as the size says, each with a turn of its own."""
    turns: list[Turn] = []

    def work(size: int) -> tuple[list[Turn], int]:
        while len(turns) < size:
            turns.append(make())
        return turns[:size], 1

    return work


def in_batches(folder: Path) -> Work:
    """The SavedModel's serving_default in TensorFlow, on one batch of the size."""
    import tensorflow as tf

    serve = tf.saved_model.load(str(folder)).signatures["serving_default"]

    def work(size: int) -> tuple[list[Turn], int]:
        batch = tf.constant(_pictures(size))
        return [lambda: serve(image=batch)], size

    return work


def work_of(kind: str, folder: Path, *photos: Path) -> Work:
    """What a process of this kind does."""
    if kind == "tensorflow":
        return in_batches(folder)
    return in_threads(photo_turn(folder, *photos) if kind == "photos" else openvino_turn(folder))


def main(kind: str, *folders: str) -> None:
    """Load, then work off the lines of stdin."""
    work = work_of(kind, *map(Path, folders))
    print("{}", flush=True)
    for line in sys.stdin:
        wanted = json.loads(line)
        turns, pictures = work(wanted["size"])
        spell(turns, pictures, min(0.5, wanted["seconds"]))
        print(json.dumps(spell(turns, pictures, wanted["seconds"])), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
