"""What the benchmarks send: photos and reviews, from files where they are given, else drawn by chance."""

import io
import tarfile
from pathlib import Path

import numpy as np
import orjson
from PIL import Image

_WORDS = "the a film movie story was is very good bad dull great acting scene plot ending watch again of to in"


def photos(folder: Path | None, most: int = 400) -> list[bytes]:
    """JPEG files: of a folder and those below it, else pictures of smooth noise, 500 x 375."""
    if folder is not None:
        files = sorted(folder.rglob("*.jpg"))
        step = max(1, len(files) // most)
        return [path.read_bytes() for path in files[::step][:most]]
    return [_drawn(seed) for seed in range(32)]


def _drawn(seed: int) -> bytes:
    coarse = np.random.default_rng(seed).integers(0, 256, (24, 32, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(coarse).resize((500, 375), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
    return file.getvalue()


def reviews(archive: Path | None, most: int = 10_000) -> list[bytes]:
    """Film reviews: the test split of the archive aclImdb_v1.tar.gz, else 230 words each, drawn."""
    if archive is None:
        words, chance = _WORDS.split(), np.random.default_rng(3)
        return [" ".join(chance.choice(words, 230)).encode() for _ in range(500)]
    found: list[bytes] = []
    with tarfile.open(archive) as tar:
        for member in tar:
            file = tar.extractfile(member) if "/test/" in member.name and member.name.endswith(".txt") else None
            if file is not None and len(found) < most:
                found.append(file.read())
    return found


def as_instances(texts: list[bytes], size: int) -> list[bytes]:
    """JSON bodies of so many texts each."""
    groups = [texts[at : at + size] for at in range(0, len(texts) - size + 1, size)]
    return [orjson.dumps({"instances": [text.decode("utf-8", "replace") for text in group]}) for group in groups]
