"""The small parts that the runtimes stand on: sharing, closing, looking at the machine, memory."""

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from serving.errors import Unavailable
from serving.modelserver.runtimes import machine
from serving.modelserver.runtimes.drain import Drain
from serving.modelserver.runtimes.pool import Pool
from tests.waiting import until

ROOT = Path(__file__).parents[3]


def test_a_thing_is_never_in_two_hands() -> None:
    pool, holders = Pool([{"held": 0} for _ in range(3)]), set[int]()

    def use(_: int) -> None:
        thing = pool.take()
        thing["held"] += 1
        holders.add(thing["held"])
        time.sleep(0)
        thing["held"] -= 1
        pool.give_back(thing)

    with ThreadPoolExecutor(12) as hands:
        list(hands.map(use, range(3000)))

    assert holders == {1}


def test_a_busy_thread_does_not_keep_others_waiting() -> None:
    pool, served, finished = Pool([0]), threading.Event(), 0

    def take_once() -> None:
        thing = pool.take()
        served.set()
        pool.give_back(thing)

    with ThreadPoolExecutor(1) as other:
        thing = pool.take()
        taking = other.submit(take_once)
        until(lambda: pool.waiting)
        pool.give_back(thing)
        pool.take()
        finished = served.is_set()
        taking.result()

    assert finished


def test_closing_waits_and_happens_once() -> None:
    drain, inside, leave = Drain(), threading.Event(), threading.Event()

    def use() -> None:
        with drain.use():
            inside.set()
            leave.wait()

    with ThreadPoolExecutor(2) as hands:
        using = hands.submit(use)
        inside.wait()
        closing = hands.submit(drain.close)
        while not drain.closed:
            time.sleep(0.001)
        assert not closing.done()
        with pytest.raises(Unavailable), drain.use():
            pass
        leave.set()
        using.result()
        assert closing.result()

    assert not drain.close()


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        pytest.param({"cpu.max": "100000 100000\n"}, 1, id="one-core"),
        pytest.param({"cpu.max": "10000 100000\n"}, 1, id="a-tenth-is-one"),
        pytest.param({"cpu/cpu.cfs_quota_us": "50000", "cpu/cpu.cfs_period_us": "100000"}, 1, id="version-1"),
        pytest.param({"cpu.max": "max 100000\n"}, len(os.sched_getaffinity(0)), id="no-limit"),
        pytest.param({"cpu.max": "junk"}, len(os.sched_getaffinity(0)), id="junk"),
        pytest.param({}, len(os.sched_getaffinity(0)), id="no-container"),
        pytest.param({"cpu.max": "99900000 100000\n"}, len(os.sched_getaffinity(0)), id="more-than-there-is"),
    ],
)
def test_a_containers_limit_counts(tmp_path: Path, files: dict[str, str], cores: int) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)

    assert machine.cores(tmp_path) == cores


def test_what_is_not_installed_is_known_without_importing_it() -> None:
    assert machine.installed("json")
    assert not machine.installed("no_such_package_anywhere")


def test_memory_comes_back_when_versions_are_closed(saved_models: Path) -> None:
    pytest.importorskip("openvino", reason="needs OpenVINO: make install")
    code = f"""
import numpy as np
from pathlib import Path
from serving.modelserver.runtimes import choice
from serving.modelserver.runtimes.protocol import RuntimeOptions

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

def cycle():
    model = choice.load(Path({str(saved_models)!r}) / "tiny_image" / "1", RuntimeOptions(runtime="openvino"))
    for rows in (1, 64, 7):
        model.run("serving_default", {{"image": np.zeros((rows, 32, 32, 3), np.uint8)}})
    model.close()

for _ in range(12):
    cycle()
before = resident()
for _ in range(24):
    cycle()
print((resident() - before) / 24)
"""
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)

    assert found.returncode == 0, found.stderr
    assert float(found.stdout) < 300_000
