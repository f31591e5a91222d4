"""One picture never takes more than 64 MB beside its own file, whatever its format."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.preprocess.pictures import encoded

MOST_EXTRA_MB = 64

MEASURE = """
import sys
from serving.card import ImageInput
from serving.errors import TooMuchToProcess
from serving.preprocess.image import to_pixels

def memory(field):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(field)) / 1024

spec = ImageInput(height=160, width=160)
files = [open(path, "rb").read() for path in sys.argv[1:]]
to_pixels(files[0], spec)
before = memory("VmRSS")
try:
    to_pixels(files[1], spec)
    verdict = "decoded"
except TooMuchToProcess:
    verdict = "refused"
print(verdict, memory("VmHWM") - before)
"""
"""Run in a process of its own: the first picture pays for what is loaded once, the second is measured."""


def blocks(width: int, height: int, mode: str) -> Image.Image:
    """Noise in blocks of 8 by 8: large pictures whose files stay small."""
    bands = len(Image.new(mode, (1, 1)).getbands())
    coarse = np.random.default_rng(7).integers(0, 256, (height // 8 + 1, width // 8 + 1, bands), dtype=np.uint8)
    pixels = np.repeat(np.repeat(coarse, 8, axis=0), 8, axis=1)[:height, :width]
    return Image.frombytes(mode, (width, height), pixels.tobytes())


def measured(folder: Path, kind: str, image: Image.Image, **options: Any) -> tuple[str, float]:
    """The verdict on a picture and its extra memory in MB."""
    warm, large = folder / "warm", folder / "large"
    warm.write_bytes(encoded(image.resize((200, 200)), kind, **options))
    large.write_bytes(encoded(image, kind, **options))
    command = [sys.executable, "-W", "error::UserWarning", "-c", MEASURE, str(warm), str(large)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    verdict, extra = done.stdout.split()
    return verdict, float(extra)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads peak memory from Linux's /proc")
@pytest.mark.parametrize(
    ("kind", "mode", "size", "options"),
    [
        pytest.param("JPEG", "RGB", (6300, 6300), {"subsampling": 0}, id="jpeg-baseline"),
        pytest.param("JPEG", "RGB", (65_500, 600), {}, id="jpeg-wide"),
        pytest.param("JPEG", "CMYK", (6300, 6300), {}, id="jpeg-cmyk"),
        pytest.param("JPEG", "RGB", (4100, 4100), {"progressive": True}, id="jpeg-progressive"),
        pytest.param("PNG", "RGB", (3500, 3500), {"compress_level": 1}, id="png"),
        pytest.param("PNG", "RGBA", (3500, 3500), {"compress_level": 1}, id="png-alpha"),
        pytest.param("PNG", "L", (6300, 6300), {"compress_level": 1}, id="png-grey"),
        pytest.param("GIF", "P", (4300, 4300), {"transparency": 3}, id="gif"),
        pytest.param("WEBP", "RGBA", (1760, 1800), {"lossless": True, "method": 0}, id="webp"),
    ],
)
def test_the_largest_picture_taken_stays_within_its_memory(
    tmp_path: Path, kind: str, mode: str, size: tuple[int, int], options: dict[str, Any]
) -> None:
    verdict, extra_mb = measured(tmp_path, kind, blocks(*size, mode), **options)

    assert verdict == "decoded"
    assert extra_mb < MOST_EXTRA_MB


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads peak memory from Linux's /proc")
@pytest.mark.parametrize(
    ("kind", "mode", "size", "options"),
    [
        pytest.param("PNG", "RGB", (6000, 6000), {"compress_level": 1}, id="png"),
        pytest.param("JPEG", "RGB", (6000, 6000), {"progressive": True}, id="jpeg-progressive"),
        pytest.param("WEBP", "RGB", (3000, 3000), {"method": 0}, id="webp"),
    ],
)
def test_what_would_take_more_is_refused_without_taking_it(
    tmp_path: Path, kind: str, mode: str, size: tuple[int, int], options: dict[str, Any]
) -> None:
    verdict, extra_mb = measured(tmp_path, kind, blocks(*size, mode), **options)

    assert verdict == "refused"
    assert extra_mb < MOST_EXTRA_MB / 2
