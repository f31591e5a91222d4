"""The head of a PNG, and the PNG without its extras.

Of all chunks only those that make pixels are passed on: compressed text, color profiles and
animation cannot inflate, and every byte that counts has been held against its checksum.

Source: PNG, third edition (W3C), sections 5, 11 and 13.
"""

import zlib

from serving.preprocess import exif
from serving.preprocess.picture_file import PictureFile, damaged, truncated, with_pixels

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MOST_CHUNKS = 65_536

_KEPT = frozenset((b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"))
_GREY, _PALETTE = 0, 3


def read(data: bytes) -> PictureFile:
    """Read a PNG up to its end mark and keep what makes pixels.

    Raises:
        BadInput: cut short, a wrong checksum, or against the rules.
    """
    if len(data) < 33:
        raise truncated("PNG")
    if data[8:16] != b"\0\0\0\x0dIHDR":
        raise damaged("PNG", "it does not start with its header chunk")
    width, height = int.from_bytes(data[16:20]), int.from_bytes(data[20:24])
    with_pixels("PNG", width, height)
    view, pieces, orientation, at = memoryview(data), [memoryview(SIGNATURE)], 1, len(SIGNATURE)
    for _ in range(MOST_CHUNKS):
        name, end = data[at + 4 : at + 8], at + 12 + int.from_bytes(data[at : at + 4])
        if len(data) < at + 12 or end > len(data):
            raise truncated("PNG")
        if name == b"IHDR" and at > len(SIGNATURE):
            raise damaged("PNG", "it has two headers")
        if name in _KEPT:
            pieces.append(_checked(view[at:end]))
        elif name == b"eXIf":
            orientation = exif.orientation(data[at + 8 : end - 4])
        if name == b"IEND":
            break
        at = end
    else:
        raise damaged("PNG", f"it has over {MOST_CHUNKS} chunks")
    copied = sum(map(len, pieces)) < end
    return PictureFile(
        kind="PNG",
        width=width,
        height=height,
        decoder_bytes=width * height * _bytes_per_pixel(depth=data[24], color=data[25]) + copied * len(data),
        essence=b"".join(pieces) if copied else data,
        orientation=orientation,
    )


def _checked(chunk: memoryview) -> memoryview:
    if zlib.crc32(chunk[4:-4]) != int.from_bytes(chunk[-4:]):
        raise damaged("PNG", "a checksum is wrong")
    return chunk


def _bytes_per_pixel(*, depth: int, color: int) -> int:
    """What Pillow stores for one pixel."""
    if color == _PALETTE:
        return 1
    if color == _GREY:
        return 2 if depth == 16 else 1
    return 4
