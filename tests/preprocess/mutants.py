"""Picture files broken in the ways that reach deep: by structure where one is known, by bytes elsewhere.

Everything is drawn from a seeded generator, so a mutant is known by its number alone.
"""

import random
import zlib
from collections.abc import Callable

from tests.preprocess.pictures import SAMPLES

TELLING = (0, 1, 2, 7, 8, 16, 0x3F, 0x7F, 0x80, 0xFE, 0xFF)
TELLING_WORDS = (0, 1, 7, 255, 256, 0x3FFF, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFFF)

Change = Callable[[bytearray, random.Random], None]


def mutant(number: int, seeds: list[bytes]) -> bytes:
    """The mutant of that number: one seed file, one to four changes, half of the PNGs with checksums made right."""
    chance = random.Random(number)
    data = bytearray(chance.choice(seeds))
    for _ in range(chance.choice((1, 1, 1, 2, 3, 4))):
        chance.choice(CHANGES)(data, chance)
        if not data:
            return b""
    if chance.random() < 0.1:
        data = bytearray(_spliced(bytes(data), chance.choice(seeds), chance))
    if chance.random() < 0.7:
        _make_checksums_right(data)
    return bytes(data)


def seeds() -> list[bytes]:
    """One small file of every format and mode."""
    return [make() for make in SAMPLES.values()]


def _place(data: bytearray, chance: random.Random) -> int:
    """Anywhere, but half of the time in the head, where the structure is."""
    return chance.randrange(min(len(data), 128) if chance.random() < 0.5 else len(data))


def _flip_a_bit(data: bytearray, chance: random.Random) -> None:
    data[_place(data, chance)] ^= 1 << chance.randrange(8)


def _set_a_byte(data: bytearray, chance: random.Random) -> None:
    data[_place(data, chance)] = chance.choice(TELLING)


def _set_a_word(data: bytearray, chance: random.Random) -> None:
    at, size = _place(data, chance), chance.choice((2, 4))
    word = chance.choice(TELLING_WORDS) & (1 << 8 * size) - 1
    data[at : at + size] = word.to_bytes(size, chance.choice(("big", "little")))


def _scramble(data: bytearray, chance: random.Random) -> None:
    at = _place(data, chance)
    data[at : at + 8] = chance.randbytes(8)


def _cut_out(data: bytearray, chance: random.Random) -> None:
    at = _place(data, chance)
    del data[at : at + chance.choice((1, 2, 4, 30))]


def _cut_off(data: bytearray, chance: random.Random) -> None:
    del data[max(1, _place(data, chance)) :]


def _repeat(data: bytearray, chance: random.Random) -> None:
    at, size = _place(data, chance), chance.choice((1, 4, 20, 200))
    data[at:at] = data[at : at + size] * chance.choice((1, 2, 9))


def _insert(data: bytearray, chance: random.Random) -> None:
    at = _place(data, chance)
    data[at:at] = chance.randbytes(chance.choice((1, 3, 17)))


def _change_near_a_marker(data: bytearray, chance: random.Random) -> None:
    """Change a byte shortly after one of the names or markers that a format is built of."""
    found = [at for name in NAMES if (at := data.find(name)) >= 0]
    if found:
        at = chance.choice(found) + chance.randrange(24)
        if at < len(data):
            data[at] = chance.choice((*TELLING, chance.randrange(256)))


def _spliced(left: bytes, right: bytes, chance: random.Random) -> bytes:
    return left[: chance.randrange(1, len(left) + 1)] + right[chance.randrange(len(right)) :]


def _make_checksums_right(data: bytearray) -> None:
    """Without this a changed PNG would get no further than its first checksum."""
    at = 8
    while data.startswith(b"\x89PNG") and at + 12 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4])
        if end > len(data):
            return
        data[end - 4 : end] = zlib.crc32(data[at + 4 : end - 4]).to_bytes(4)
        at = end


CHANGES: tuple[Change, ...] = (
    _flip_a_bit,
    _set_a_byte,
    _set_a_word,
    _scramble,
    _cut_out,
    _cut_off,
    _repeat,
    _insert,
    _change_near_a_marker,
    _change_near_a_marker,
)
NAMES = (
    *(b"\xff\xc0", b"\xff\xc2", b"\xff\xc4", b"\xff\xda", b"\xff\xdb", b"\xff\xdd", b"\xff\xe1", b"\xff\xee", b"II*\0"),
    *(b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"eXIf", b"IEND", b"fcTL", b"\x21\xf9\x04", b"\x2c\0\0\0\0", b"GIF8"),
    *(b"RIFF", b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"EXIF"),
)
