"""The one EXIF field that matters here: which way is up.

Source: EXIF 2.32, section 4.6.4 A (tag 0x0112); TIFF 6.0, section 2 (header and directory).
"""

import struct

_ORIENTATION_TAG = 0x0112
_SHORT = 3
_LONGEST = 65_536


def orientation(tiff: bytes) -> int:
    """The orientation out of an EXIF block, 1 to 8; 1 where there is none or the block is nonsense.

    Args:
        tiff: the block from its TIFF header on; a leading `Exif` marker as in JPEG is skipped.
    """
    block = tiff[:_LONGEST].removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(block[:4])
    if order is None or len(block) < 10:
        return 1
    (directory,) = struct.unpack_from(f"{order}I", block, 4)
    if directory + 2 > len(block):
        return 1
    (count,) = struct.unpack_from(f"{order}H", block, directory)
    return _from_entries(block[directory + 2 : directory + 2 + 12 * count], order)


def _from_entries(entries: bytes, order: str) -> int:
    whole = entries[: len(entries) // 12 * 12]
    for tag, kind, count, value in struct.iter_unpack(f"{order}HHIH2x", whole):
        if tag == _ORIENTATION_TAG:
            return int(value) if kind == _SHORT and count == 1 and 1 <= value <= 8 else 1
    return 1
