"""Fifty thousand broken picture files: pixels or a refusal from the error family, and nothing else, ever."""

import multiprocessing
import resource
import warnings
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from serving.card import ImageInput
from serving.errors import BadInput
from serving.preprocess.image import to_pixels
from tests.preprocess import mutants

MUTANTS = 52_000
A_TASK = 2_000
ROOM_BYTES = 384 * 2**20
"""Address space that a worker may grow by: what a mutant says of its size must never be believed."""
SPEC = ImageInput(height=16, width=16, max_pixels=4_000_000)


def outcomes(first: int) -> Counter[str]:
    """Decode one task's mutants and count what became of them; whatever is not in the family is told by number."""
    warnings.simplefilter("error")
    seeds, count = mutants.seeds(), Counter[str]()
    for number in range(first, first + A_TASK):
        data = mutants.mutant(number, seeds)
        try:
            pixels = to_pixels(data, SPEC)
            count["decoded" if pixels.shape == (16, 16, 3) and pixels.dtype == np.uint8 else "wrong shape"] += 1
        except BadInput as error:
            count[type(error).__name__] += 1
        except Exception as error:
            count[f"mutant {number} raised {error!r}"] += 1
    return count


def limit_memory() -> None:
    """Run once in each worker."""
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + ROOM_BYTES, resource.RLIM_INFINITY))


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="limits memory by Linux's /proc")
def test_no_broken_file_gets_past_the_error_family() -> None:
    workers = ProcessPoolExecutor(2, multiprocessing.get_context("spawn"), initializer=limit_memory)
    with workers:
        count = sum(workers.map(outcomes, range(0, MUTANTS, A_TASK)), Counter[str]())

    assert set(count) <= {"decoded", "BadInput", "UnsupportedKind", "TooMuchToProcess"}
    assert sum(count.values()) == MUTANTS
    # Shares far enough from none and all: the mutants do reach the decoders, and do break files.
    assert count["decoded"] > MUTANTS // 10
    assert count["BadInput"] > MUTANTS // 4
    assert min(count["UnsupportedKind"], count["TooMuchToProcess"]) > MUTANTS // 1000
