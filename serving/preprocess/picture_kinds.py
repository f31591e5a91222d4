"""Which kinds of picture are taken, told by content alone.

A file is what its first bytes say, whatever its name or media type claims, and what follows the
picture is ignored: of a polyglot, the part that starts at byte 0 counts.
"""

from collections.abc import Callable, Mapping

from serving.errors import BadInput, UnsupportedKind
from serving.preprocess import gif_file, jpeg_file, png_file, webp_file
from serving.preprocess.picture_file import PictureFile

ACCEPTED = "JPEG, PNG, WebP or GIF"

_BRANDS: Mapping[bytes, str] = {
    b"heic": "HEIC",
    b"heix": "HEIC",
    b"hevc": "HEIC",
    b"mif1": "HEIF",
    b"msf1": "HEIF",
    b"avif": "AVIF",
    b"avis": "AVIF",
}

_REFUSED: Mapping[bytes, str] = {
    b"%PDF": "PDF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "BigTIFF",
    b"MM\0+": "BigTIFF",
    b"BM": "BMP",
    b"\0\0\1\0": "ICO",
    b"\0\0\2\0": "CUR",
    b"8BPS": "Photoshop",
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"\0\0\0\x0cjP  ": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"gimp xcf": "GIMP",
    b"qoif": "QOI",
    b"DDS ": "DDS",
    b"%!PS": "PostScript",
    b"\x1aE\xdf\xa3": "Matroska or WebM video",
}


def open_picture(data: bytes) -> PictureFile:
    """Tell the kind of a picture file and read its head; no pixel is decoded.

    Raises:
        BadInput: empty, not a picture, cut short or damaged.
        UnsupportedKind: a picture or document of a kind that is not taken.
    """
    if not data:
        raise BadInput("the picture is empty: no bytes were sent")
    return _reader(data)(data)


def _reader(data: bytes) -> Callable[[bytes], PictureFile]:
    if data.startswith(b"\xff\xd8\xff"):
        return jpeg_file.read
    if data.startswith(png_file.SIGNATURE):
        return png_file.read
    if data.startswith((b"GIF87a", b"GIF89a")):
        return gif_file.read
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return webp_file.read
    if name := _refused_kind(data):
        raise UnsupportedKind(f"{name} files are not taken; send {ACCEPTED}")
    raise BadInput(f"this is not a picture that can be read; send {ACCEPTED}")


def _refused_kind(data: bytes) -> str | None:
    """The name of a known kind that is refused, or None."""
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12], "MPEG-4")
    start = data[:1024].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith((b"<svg", b"<?xml", b"<!doctype svg", b"<!--")) and b"<svg" in data[:65_536].lower():
        return "SVG"
    return next((name for mark, name in _REFUSED.items() if data.startswith(mark)), None)
