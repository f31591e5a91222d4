"""The head of a WebP: size, animation and orientation, from its chunks.

Source: WebP container specification (RFC 9649), section 2; VP8 (RFC 6386), section 9.1.
"""

from collections.abc import Iterator

from serving.preprocess import exif
from serving.preprocess.picture_file import PictureFile, damaged, truncated, with_pixels

BYTES_PER_PIXEL = 16
"""libwebp's two canvases and its decoder, and Pillow's copies: about 15.5 measured."""
MOST_CHUNKS = 4096


def read(data: bytes) -> PictureFile:
    """Read the chunks of a WebP.

    Raises:
        BadInput: cut short, or against the rules.
    """
    end = 8 + int.from_bytes(data[4:8], "little")
    if len(data) < 30 or end > len(data):
        raise truncated("WebP")
    width, height = _size(data[12:16], data[20:30])
    with_pixels("WebP", width, height)
    essence = data[:end]
    return PictureFile(
        kind="WebP",
        width=width,
        height=height,
        decoder_bytes=width * height * BYTES_PER_PIXEL + len(essence),
        essence=essence,
        orientation=_orientation(essence),
    )


def _size(name: bytes, body: bytes) -> tuple[int, int]:
    """Columns and rows of the whole canvas, out of the first chunk."""
    if name == b"VP8X":
        return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    if name == b"VP8L" and body[0] == 0x2F:
        bits = int.from_bytes(body[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if name == b"VP8 " and body[3:6] == b"\x9d\x01\x2a":
        return int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF
    raise damaged("WebP", "its first chunk is of no known kind")


def _orientation(data: bytes) -> int:
    if data[12:16] != b"VP8X":
        return 1
    return next((exif.orientation(body) for name, body in _chunks(data) if name == b"EXIF"), 1)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 12
    for _ in range(MOST_CHUNKS):
        if at + 8 > len(data):
            return
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        yield data[at : at + 4], data[at + 8 : at + 8 + min(length, 65_536)]
        at += 8 + length + length % 2
    raise damaged("WebP", f"it has over {MOST_CHUNKS} chunks")
