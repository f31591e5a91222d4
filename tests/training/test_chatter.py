"""What a person sees on stderr before a command does anything; in processes of their own, TensorFlow loads but once."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import CHECKOUT
from training import chatter

pytest.importorskip("tensorflow", reason="needs TensorFlow: make install")


def told(*words: str, level: str = "") -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    env |= {"TF_CPP_MIN_LOG_LEVEL": level} if level else {}
    return subprocess.run(
        [sys.executable, *words], cwd=CHECKOUT, env=env, capture_output=True, text=True, timeout=240, check=False
    )


def test_a_command_that_loads_tensorflow_says_nothing_of_its_own_accord() -> None:
    answer = told("-m", "training", "list")

    assert answer.returncode == 0
    assert "cats_vs_dogs_mobilenet" in answer.stdout
    assert answer.stderr == ""


@pytest.mark.parametrize("recipe", ["stock_regression", "xor"])
def test_a_quiet_run_says_nothing_but_its_results(recipe: str, tmp_path: Path) -> None:
    folders = [f"--{name}={tmp_path / name}" for name in ("runs", "models", "cache-dir")]

    answer = told("-m", "training", "train", recipe, "--epochs", "1", "--no-publish", "--quiet", *folders)

    assert answer.returncode == 0, answer.stderr
    assert answer.stderr == ""


def test_who_asks_tensorflow_to_speak_hears_it() -> None:
    assert "cpu_feature_guard" in told("-m", "training", "list", level="0").stderr


def test_the_list_of_commands_loads_none_of_them() -> None:
    program = "import sys; from training.__main__ import cli; cli(['--help'], standalone_mode=False)"

    answer = told("-c", f"{program}; assert 'tensorflow' not in sys.modules")

    assert answer.returncode == 0, answer.stderr
    assert "learning-curve" in answer.stdout


def test_the_last_words_of_a_process_that_dies_while_it_loads_are_shown() -> None:
    program = """
        import os
        from training import chatter
        with chatter.dropped():
            os.write(2, b"I0000 00:00:1 7 port.cc:153] nothing\\nF0000 00:00:1 7 cpu.cc:1] needs AVX\\n")
            os.abort()
    """
    answer = told("-c", "if True:" + program)

    assert answer.returncode < 0
    assert answer.stderr == "F0000 00:00:1 7 cpu.cc:1] needs AVX\n"


@pytest.mark.parametrize(
    ("line", "gpu", "shown"),
    [
        pytest.param("I0000 00:00:1.5 9 cudart_stub.cc:31] no drivers", False, False, id="information"),
        pytest.param("W0000 00:00:1.5 9 gpu_device.cc:2] Cannot dlopen some GPU libraries", True, True, id="warning"),
        pytest.param("E0000 00:00:1.5 9 x.cc:5] failed call to cuInit: UNKNOWN ERROR (303)", False, False, id="no-gpu"),
        pytest.param("E0000 00:00:1.5 9 x.cc:5] failed call to cuInit: UNKNOWN ERROR (303)", True, True, id="gpu"),
        pytest.param("E0000 00:00:1.5 9 x.cc:5] failed call to cuInit: MISMATCH (803)", False, True, id="old-driver"),
        pytest.param("Traceback (most recent call last):", False, True, id="python"),
    ],
)
def test_only_remarks_are_dropped(line: str, gpu: bool, shown: bool) -> None:
    assert (re.match(chatter._pattern(gpu=gpu), line) is None) == shown


def test_a_process_without_stderr_runs_all_the_same() -> None:
    answer = subprocess.run(
        ["bash", "-c", f'exec "{sys.executable}" -m training list 2>&-'],
        cwd=CHECKOUT, stdout=subprocess.PIPE, text=True, timeout=240, check=False,
    )  # fmt: skip

    assert answer.returncode == 0
    assert "xor" in answer.stdout
