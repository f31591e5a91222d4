"""Pictures drawn for the tests: every format and mode, upright or not, small enough to read in a debugger."""

import io
import struct
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from PIL import Image

JPEG_END = b"\xff\xd9"


def drawing(width: int = 60, height: int = 40, mode: str = "RGB") -> Image.Image:
    """Smooth colors, different in every corner, with a soft edge of transparency where the mode has it."""
    y, x = np.mgrid[0:height, 0:width]
    across, down = x * 255 // max(1, width - 1), y * 255 // max(1, height - 1)
    bands = np.stack([across, down, 255 - (across + down) // 2, np.maximum(across, down)], axis=2)
    return Image.fromarray(bands.astype(np.uint8)).convert(mode)


def flat(color: str, width: int = 50, height: int = 40) -> Image.Image:
    """One color all over."""
    return Image.new("RGB", (width, height), color)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """The bytes of a picture file, as Pillow writes them."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def sixteen_bit(width: int = 60, height: int = 40) -> Image.Image:
    """Grey levels from 0 to 65,535."""
    return Image.fromarray(np.linspace(0, 65_535, width * height).astype(np.uint16).reshape(height, width))


def png_chunk(name: bytes, body: bytes) -> bytes:
    """One PNG chunk with the right checksum."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width: int, height: int, *, depth: int = 8, color: int = 0, body: bytes = b"", extras: bytes = b"") -> bytes:
    """A PNG put together by hand; `body` is the IDAT as it stands, `extras` are chunks before it."""
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    chunks = png_chunk(b"IHDR", header) + extras + png_chunk(b"IDAT", body) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def jpeg_saying(width: int, height: int, *, marker: int = 0xC0) -> bytes:
    """A JPEG whose frame header claims a size; `marker` is its way of coding."""
    whole = encoded(drawing(16, 16), "JPEG")
    at = whole.index(b"\xff\xc0")
    return whole[:at] + struct.pack(">BBHBHH", 0xFF, marker, 17, 8, height, width) + whole[at + 9 :]


def rare_sampling_jpeg() -> bytes:
    """Mid-grey, 24 by 8 pixels, with three columns of luma for one of chroma, which no encoder here can write."""
    whole = encoded(drawing(16, 16), "JPEG")
    frame, scan = whole.index(b"\xff\xc0"), whole.index(b"\xff\xda")
    head = struct.pack(">HHBHHB", 0xFFC0, 17, 8, 8, 24, 3) + b"\1\x31\0" + b"\2\x11\0" + b"\3\x11\0"
    five_empty_blocks = int("001010" * 5 + "11", 2).to_bytes(4)
    selectors = b"\3\1\0\2\0\3\0\0\x3f\0"
    return (
        whole[:frame] + head + whole[frame + 19 : scan] + b"\xff\xda\0\x0c" + selectors + five_empty_blocks + JPEG_END
    )


def exif(orientation: int, order: str = "<") -> bytes:
    """A TIFF block whose one entry is the orientation."""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return mark + struct.pack(f"{order}IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)


def animation() -> list[Image.Image]:
    """Three frames, no two alike."""
    return [drawing(), drawing().rotate(180), drawing().convert("L").convert("RGB")]


def _animated(kind: str) -> bytes:
    first, *rest = animation()
    return encoded(first, kind, save_all=True, append_images=rest, duration=100)


SAMPLES: Mapping[str, Callable[[], bytes]] = {
    "jpeg": lambda: encoded(drawing(), "JPEG"),
    "jpeg-444": lambda: encoded(drawing(), "JPEG", subsampling=0, quality=95),
    "jpeg-progressive": lambda: encoded(drawing(), "JPEG", progressive=True),
    "jpeg-grey": lambda: encoded(drawing(mode="L"), "JPEG"),
    "jpeg-cmyk": lambda: encoded(drawing(mode="CMYK"), "JPEG"),
    "jpeg-rare": rare_sampling_jpeg,
    "jpeg-exif": lambda: encoded(drawing(), "JPEG", exif=b"Exif\0\0" + exif(6), icc_profile=b"no profile" * 20),
    "jpeg-restarts": lambda: encoded(drawing(), "JPEG", restart_marker_blocks=2),
    "png": lambda: encoded(drawing(), "PNG"),
    "png-alpha": lambda: encoded(drawing(mode="RGBA"), "PNG"),
    "png-grey": lambda: encoded(drawing(mode="L"), "PNG"),
    "png-grey-alpha": lambda: encoded(drawing(mode="LA"), "PNG"),
    "png-bits": lambda: encoded(drawing(mode="1"), "PNG"),
    "png-16-bit": lambda: encoded(sixteen_bit(), "PNG"),
    "png-palette": lambda: encoded(drawing().quantize(16), "PNG"),
    "png-palette-alpha": lambda: encoded(drawing().quantize(16), "PNG", transparency=bytes(range(0, 160, 10))),
    "png-color-key": lambda: encoded(drawing(), "PNG", transparency=(0, 0, 255)),
    "png-animated": lambda: _animated("PNG"),
    "gif": lambda: encoded(drawing(), "GIF"),
    "gif-transparent": lambda: encoded(drawing().quantize(16), "GIF", transparency=3),
    "gif-animated": lambda: _animated("GIF"),
    "webp": lambda: encoded(drawing(), "WEBP"),
    "webp-lossless": lambda: encoded(drawing(mode="RGBA"), "WEBP", lossless=True),
    "webp-alpha": lambda: encoded(drawing(mode="RGBA"), "WEBP"),
    "webp-exif": lambda: encoded(drawing(), "WEBP", exif=exif(8)),
    "webp-animated": lambda: _animated("WEBP"),
}
"""Every format and mode that is taken, by name."""
