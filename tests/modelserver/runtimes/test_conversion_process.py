"""Versions compiled in a process of their own, as a server that answers loads them."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from serving.errors import DataLoss, NotFound, ServingError, Unavailable
from serving.modelserver.lifecycle.settings import LifecycleOptions
from serving.modelserver.runtimes import choice
from serving.modelserver.runtimes.conversion_process import WORTH_IT_BYTES, VersionLoader
from serving.modelserver.runtimes.protocol import RuntimeOptions
from serving.modelserver.server import ModelServer
from serving.modelserver.server_config import ServerConfig
from tests.modelserver.asking import Grpc, grpc_to, predict_request
from tests.modelserver.runtimes.conftest import floats, strings
from tests.processes import CHECKOUT
from tests.waiting import until

WITHOUT_TENSORFLOW = RuntimeOptions(runtime="openvino")
FREE = 19
"""The lowest priority."""


def serving(options: RuntimeOptions = WITHOUT_TENSORFLOW) -> VersionLoader:
    """A loader whose server answers already, and to which no version is too small."""
    loader = VersionLoader(options, worth_it_bytes=0)
    loader.serves = True
    return loader


def children(parent: int) -> list[int]:
    """Processes that a process has started, by /proc."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


class Watch(threading.Thread):
    """Does something to every process that this one starts, once it works with low priority."""

    def __init__(self, act: Callable[[int], object]) -> None:
        super().__init__(daemon=True)
        self.act, self.seen = act, set[int]()
        self.before, self.over = set(children(os.getpid())), threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.002):
            for child in set(children(os.getpid())) - self.before - self.seen:
                with contextlib.suppress(ProcessLookupError):  # it may end at any time
                    if os.getpriority(os.PRIO_PROCESS, child) == FREE:
                        self.seen.add(child)
                        self.act(child)

    def __enter__(self) -> "Watch":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.join()


def killing(number: signal.Signals) -> Watch:
    return Watch(lambda child: os.kill(child, number))


@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        ("dense", {"x": floats([[1, 2, 3, 4], [5, 6, 7, 8]])}),
        ("tiny_image", {"image": np.arange(3 * 8 * 8 * 3, dtype=np.uint8).reshape(3, 8, 8, 3)}),
        ("tiny_text", {"text": strings([b"a fine film", b"dull"])}),
        ("two_inputs", {"a": floats([1, 2]), "b": floats([3])}),
    ],
)
def test_a_version_compiled_there_is_the_one_compiled_here(
    saved_models: Path, name: str, inputs: dict[str, NDArray[Any]]
) -> None:
    folder = saved_models / name / "1"
    with (
        Watch(lambda _: None) as watch,
        closing(serving().load(folder)) as there,
        closing(choice.load(folder, WITHOUT_TENSORFLOW)) as here,
    ):
        theirs, ours = (model.run("serving_default", inputs) for model in (there, here))

        assert {alias: array.tolist() for alias, array in theirs.items()} == {
            alias: array.tolist() for alias, array in ours.items()
        }
        for what in ("signatures", "signature_defs", "card", "runtime", "precision", "best_rows", "parallel"):
            assert repr(getattr(there, what)) == repr(getattr(here, what)), what
    assert len(watch.seen) == 1
    assert not watch.seen & set(children(os.getpid()))


def test_shapes_that_nobody_stated_are_still_taken(saved_models: Path) -> None:
    with closing(serving().load(saved_models / "half_plus_three" / "1")) as model:
        assert model.run("serving_default", {"x": floats([2, 4])})["y"].tolist() == [4, 5]


@pytest.mark.parametrize(
    ("damage", "kind"), [(lambda file: file.unlink(), NotFound), (lambda file: file.write_bytes(b"\xff"), DataLoss)]
)
def test_what_is_wrong_with_a_version_is_told_as_ever(
    saved_models: Path, tmp_path: Path, damage: Callable[[Path], object], kind: type[ServingError]
) -> None:
    version = Path(shutil.copytree(saved_models / "dense" / "1", tmp_path / "1"))
    damage(version / "saved_model.pb")
    with pytest.raises(kind) as here:
        choice.load(version, WITHOUT_TENSORFLOW)

    with Watch(lambda _: None) as watch, pytest.raises(kind) as there:
        serving().load(version)

    assert there.value.message == here.value.message
    assert len(watch.seen) == 1


def test_what_the_process_logs_is_in_the_servers_log(saved_models: Path, caplog: pytest.LogCaptureFixture) -> None:
    options = RuntimeOptions(runtime="openvino", precision="int8")
    serving(options).load(saved_models / "tiny_image" / "1").close()

    assert "is served in f32 although int8 was asked for" in caplog.text


def test_without_a_process_the_version_is_loaded_in_place(
    saved_models: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")

    with closing(serving().load(saved_models / "dense" / "1")) as model:
        assert model.run("serving_default", {"x": floats([[0, 0, 0, 0]])})["y"].shape == (1, 3)

    assert "no process can be started" in caplog.text


def test_a_process_that_is_killed_is_done_without(saved_models: Path, caplog: pytest.LogCaptureFixture) -> None:
    with killing(signal.SIGKILL) as watch, closing(serving().load(saved_models / "dense" / "1")) as model:
        assert model.run("serving_default", {"x": floats([[0, 0, 0, 0]])})["y"].shape == (1, 3)

    assert len(watch.seen) == 1
    assert "ended with SIGKILL" in caplog.text


def test_a_version_that_crashes_the_process_does_not_get_into_the_server(saved_models: Path) -> None:
    with killing(signal.SIGSEGV) as watch, pytest.raises(ServingError, match="crashed \\(SIGSEGV\\)"):
        serving().load(saved_models / "dense" / "1")

    assert len(watch.seen) == 1


def test_a_server_that_stops_does_not_wait_for_the_process(saved_models: Path) -> None:
    loader = serving()
    with Watch(lambda _: loader.stop()) as watch, pytest.raises(Unavailable, match="shutting down"):
        loader.load(saved_models / "dense" / "1")

    assert not watch.seen & set(children(os.getpid()))
    with pytest.raises(Unavailable, match="shutting down"):
        loader.load(saved_models / "dense" / "1")


def test_the_process_ends_with_a_server_that_was_killed(saved_models: Path) -> None:
    program = (
        "from pathlib import Path\n"
        "from serving.modelserver.runtimes.conversion_process import VersionLoader\n"
        "from serving.modelserver.runtimes.protocol import RuntimeOptions\n"
        "loader = VersionLoader(RuntimeOptions(), worth_it_bytes=0)\n"
        "loader.serves = True\n"
        f"while True: loader.load(Path({str(saved_models / 'dense' / '1')!r})).close()\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], cwd=CHECKOUT) as server:
        until(lambda: children(server.pid), timeout_s=30)
        started = children(server.pid)
        server.kill()

    until(lambda: not any(Path(f"/proc/{child}").exists() for child in started), timeout_s=30)


@pytest.fixture
def published(saved_models: Path, tmp_path: Path) -> Callable[[int], None]:
    """Publishes a version that is large enough, by one rename."""

    def publish(number: int) -> None:
        aside = Path(shutil.copytree(saved_models / "dense" / "1", tmp_path / f".{number}"))
        (aside / "variables").mkdir(exist_ok=True)
        (aside / "variables" / "unused").write_bytes(bytes(WORTH_IT_BYTES))
        aside.rename(tmp_path / str(number))

    return publish


@pytest.fixture
def running(tmp_path: Path, published: Callable[[int], None]) -> Iterator[ModelServer]:
    published(1)
    lifecycle = LifecycleOptions(poll_s=0.02, load_retries=0)
    config = ServerConfig(base_path=tmp_path, model_name="dense", grpc_port=0, lifecycle=lifecycle)
    with Watch(lambda _: None) as watch, ModelServer(config) as server:
        assert not watch.seen, "nobody waits for answers yet, so the first version is loaded in place"
        yield server


def version_of(asked: Grpc) -> int:
    """The version that answers."""
    response = asked.call("PredictionService/Predict", predict_request("dense", {"x": [[1.0] * 4]}))
    number: int = response.model_spec.version.value
    return number


def test_a_server_that_answers_loads_the_next_version_by_a_process(
    running: ModelServer, published: Callable[[int], None]
) -> None:
    with grpc_to(running) as asked, Watch(lambda _: None) as watch:
        published(2)
        until(lambda: version_of(asked) == 2)

        assert len(watch.seen) == 1


def test_a_crash_of_the_process_leaves_the_version_that_serves(
    running: ModelServer, published: Callable[[int], None]
) -> None:
    with grpc_to(running) as asked, killing(signal.SIGSEGV) as watch:
        published(2)
        until(lambda: [status.state for status in running.manager.status("dense") if status.version == 2] == [50])

        assert len(watch.seen) == 1
        assert version_of(asked) == 1


def test_a_server_told_to_end_during_a_load_does_not_wait_for_it(
    running: ModelServer, published: Callable[[int], None], caplog: pytest.LogCaptureFixture
) -> None:
    with Watch(lambda _: running.stop()) as watch:
        published(2)
        until(lambda: not running.manager.status("dense") or "shutting down" in caplog.text)
    assert len(watch.seen) == 1
    assert not watch.seen & set(children(os.getpid()))
