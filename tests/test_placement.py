"""Where threads run, seen from outside: in processes of their own, since a placement lasts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import CHECKOUT, following, free_port
from tests.waiting import until

CORES = sorted(os.sched_getaffinity(0))
needs_two = pytest.mark.skipif(len(CORES) < 2, reason="needs two cores to choose from")

TOLD = """
import os, sys, threading
os.sched_setaffinity(0, {int(core) for core in sys.argv[1].split(",")})
from serving.placement import keep_together, spread_out

def of(thread):
    return ",".join(map(str, sorted(os.sched_getaffinity(thread.native_id))))

waits = threading.Event()
def thread():
    one = threading.Thread(target=waits.wait, daemon=True)
    one.start()
    return one

entered, leave = threading.Event(), threading.Event()
def load():
    with spread_out(), spread_out():
        entered.set()
        leave.wait()

before, loading = thread(), threading.Thread(target=load, daemon=True)
loading.start()
entered.wait()
keep_together(int(sys.argv[2]))
with spread_out():
    inside = thread()
print(of(before), of(thread()), of(threading.main_thread()), of(loading), of(inside))
leave.set()
loading.join()
"""


def told(cores: list[int], place: int = 0) -> list[list[int]]:
    """The cores of a thread made before, one made after, the main thread, one that loads, one made by a loading one."""
    command = [sys.executable, "-c", TOLD, ",".join(map(str, cores)), str(place)]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=True)
    return [[int(core) for core in group.split(",")] for group in done.stdout.split()]


@needs_two
@pytest.mark.parametrize("place", [0, -1])
def test_of_two_cores_the_interpreter_has_one_and_what_computes_both(place: int) -> None:
    two = CORES[:2]
    home = [two[place]]

    assert told(two, place) == [home, home, home, two, two]


@pytest.mark.parametrize("cores", [CORES[:1], *([CORES[:3]] if len(CORES) > 2 else [])])
def test_with_another_number_of_cores_nothing_changes(cores: list[int]) -> None:
    assert told(cores) == [cores] * 5


LOADS_LATER = """
import os, sys, threading
from pathlib import Path
os.sched_setaffinity(0, {int(core) for core in sys.argv[1].split(",")})
from serving.modelserver.lifecycle.loading import Loader
from serving.modelserver.lifecycle.settings import LifecycleOptions
from serving.modelserver.lifecycle.versions import Version
from serving.modelserver.runtimes.choice import load
from serving.placement import keep_together

keep_together()
Loader(load, LifecycleOptions()).load("convolutions", Version(1, Path(sys.argv[2])), replaces=False)
computing = set(map(int, os.listdir("/proc/self/task"))) - {thread.native_id for thread in threading.enumerate()}
print(*sorted({len(os.sched_getaffinity(thread)) for thread in computing}))
print(len(os.sched_getaffinity(0)))
"""


@needs_two
def test_what_a_version_computes_with_has_both_cores_when_it_comes_later_too(saved_models: Path) -> None:
    folder = next((saved_models / "convolutions").iterdir())
    command = [sys.executable, "-c", LOADS_LATER, ",".join(map(str, CORES[:2])), str(folder)]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=True)

    computing, loading = done.stdout.splitlines()
    assert computing == "2"
    assert loading == "1"


@needs_two
def test_a_server_answers_on_one_core_and_computes_on_two(saved_models: Path) -> None:
    command = ["taskset", "--cpu-list", f"{CORES[0]},{CORES[1]}", sys.executable, "-m", "serving.modelserver"]
    command += ["--model_name=convolutions", f"--model_base_path={saved_models / 'convolutions'}", "--runtime=openvino"]
    command += [f"--port={free_port()}", f"--rest_api_port={free_port()}", "--bind_address=127.0.0.1"]
    with following(command, "Exporting HTTP/REST API", stderr=subprocess.STDOUT) as (process, _):
        until(lambda: len(os.sched_getaffinity(process.pid)) == 1)  # the line comes a moment before
        threads = [os.sched_getaffinity(int(task.name)) for task in Path(f"/proc/{process.pid}/task").iterdir()]

    assert {CORES[0]} in threads
    assert {CORES[0], CORES[1]} in threads
