"""TensorFlow is imported while other threads run: it must find the environment as it would make it."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

CODE = """
import ctypes
from serving import environment
from serving.modelserver.runtimes import on_openvino, on_tensorflow

def table():
    found = ctypes.POINTER(ctypes.c_char_p).in_dll(ctypes.CDLL(None), "environ")
    names = []
    while found[len(names)]:
        names.append(found[len(names)])
    return ctypes.cast(found, ctypes.c_void_p).value, names

environment.settle()
before = table()
on_openvino.core()
on_tensorflow._tensorflow()
after = table()
print(sorted(set(after[1]) ^ set(before[1])) or "as it was", before[0] == after[0])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into glibc")
def test_importing_the_runtimes_moves_no_environment_variable() -> None:
    pytest.importorskip("tensorflow", reason="needs TensorFlow: make install")

    found = subprocess.run([sys.executable, "-c", CODE], cwd=ROOT, capture_output=True, text=True, timeout=300)

    assert found.stdout == "as it was True\n", found.stderr
