"""Turn a picture file into the pixels that a model was trained on.

The one preparation of pictures: training/datasets.py, the gateway, both runtimes' `encoded` and the
clients all call `to_pixels`. picture_kinds.py reads the head, this room decodes; neither knows
HTTP, gRPC or a model.

The rules, in their order: the head decides kind, size and orientation; too many pixels, or more
memory than one request may take, is refused unopened; a JPEG is decoded at the smallest of
libjpeg-turbo's scales that is not under the target on either side, everything else whole; transparency
is laid over white; colors become sRGB values as stored (profiles are ignored) or luma; then comes
one bilinear resize with antialiasing, and last the orientation.
"""

import io
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import GifImagePlugin, Image, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

from serving.card import ImageInput
from serving.errors import Overloaded, ServingError, TooMuchToProcess
from serving.preprocess.picture_file import PictureFile, PictureKind, damaged, truncated
from serving.preprocess.picture_kinds import open_picture

MEMORY_BYTES = 52 * 2**20
"""What decoding one picture may take beside the answer; with the libraries' own buffers under 64 MB."""

_STRIP_PIXELS = 262_144
"""Color conversion works on so many pixels at a time, so that the whole picture is held only once."""
_HARMLESS = ("extraneous bytes before marker",)
"""libjpeg's remarks on files that cameras do write and that lose no pixel."""
_OPENERS: Mapping[str, Callable[[BinaryIO], Image.Image]] = {
    "PNG": PngImagePlugin.PngImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "WebP": WebPImagePlugin.WebPImageFile,
}
_END = b"\xff\xd9"
"""The mark that ends a JPEG."""
_SIDEWAYS = 5
"""From this EXIF orientation on, rows and columns change places."""


def to_pixels(data: bytes | memoryview | PictureFile, spec: ImageInput) -> NDArray[Any]:
    """Decode one picture into the pixels that the model expects.

    Args:
        data: a whole JPEG, PNG, WebP or GIF file, or what `open_picture` made of it; of an animation the first
            frame counts.
        spec: rows, columns and channels of the result, and the pixel cap; from the model's card.

    Returns:
        uint8 of shape [spec.height, spec.width, spec.channels], RGB or grey.

    Raises:
        BadInput: not a picture, truncated or damaged.
        UnsupportedKind: a kind of file that is not taken (SVG, PDF, HEIC, TIFF, BMP and others).
        TooMuchToProcess: more than spec.max_pixels, or more memory than one request may take.
        Overloaded: this machine has no memory left.

    Source: tests/preprocess/test_image.py holds it to golden pixels.
    """
    picture = data if isinstance(data, PictureFile) else open_picture(data if isinstance(data, bytes) else bytes(data))
    if picture.pixels > spec.max_pixels:
        raise TooMuchToProcess(
            f"the picture has {picture.width}x{picture.height} pixels and at most {spec.max_pixels:,} are taken"
        )
    sideways = picture.orientation >= _SIDEWAYS
    size = (spec.height, spec.width) if sideways else (spec.width, spec.height)
    try:
        decode = _decoded_jpeg if picture.kind == "JPEG" else _decoded_whole
        small = _resized(decode(picture, size, spec.channels), size, "RGB" if spec.channels == 3 else "L")
    except ServingError:
        raise
    except MemoryError:
        raise Overloaded("no memory is left to decode this picture; try again later", retry_after_s=1.0) from None
    except Exception as error:  # Decoders meet hostile bytes with errors of every class; all mean the same.
        raise damaged(picture.kind, _reason(error)) from error
    pixels = np.frombuffer(small.tobytes(), np.uint8).reshape(size[1], size[0], spec.channels)
    return _upright(pixels, picture.orientation)


def _reason(error: Exception) -> str:
    return f"{str(error)[:200] or type(error).__name__}"


def _fits(needed: int, size: tuple[int, int]) -> bool:
    return needed <= MEMORY_BYTES + 8 * size[0] * size[1]


def _needed(picture: PictureFile, decoded_bytes: int, rows: int, size: tuple[int, int]) -> int:
    """Bytes that the decoder, the pixels, and the resize's middle step take."""
    return picture.decoder_bytes + decoded_bytes + 4 * rows * size[0]


def _within_memory(picture: PictureFile, decoded_bytes: int, rows: int, size: tuple[int, int]) -> None:
    """Refuse what would take more memory than one request may."""
    needed = _needed(picture, decoded_bytes, rows, size)
    if not _fits(needed, size):
        raise TooMuchToProcess(
            f"a {picture.kind} of {picture.width}x{picture.height} pixels takes {-(-needed >> 20)} MB to decode and "
            f"one request may take {MEMORY_BYTES >> 20} MB; send it smaller, or as a baseline JPEG"
        )


def _decoded_jpeg(picture: PictureFile, size: tuple[int, int], channels: int) -> Image.Image:
    """Decode at the smallest scale that is not under the wanted (width, height)."""
    scale = {"min_width": size[0], "min_height": size[1]}
    try:
        height, width, *_ = simplejpeg.decode_jpeg_header(picture.essence, strict=False)
    except (KeyError, ValueError) as error:
        if isinstance(error, ValueError) and "subsampling" not in str(error):
            raise
        return _decoded_rare_jpeg(picture, size)
    if (width, height) != (picture.width, picture.height):
        raise damaged("JPEG", "it has two frame headers that do not agree")
    if not _fits(_needed(picture, 8 * height * width, height, size), size):  # so it depends on the scale
        rows, columns, *_ = simplejpeg.decode_jpeg_header(picture.essence, strict=False, **scale)
        _within_memory(picture, 8 * rows * columns, rows, size)
    colors = "CMYK" if picture.ink else "RGB" if channels == 3 else "GRAY"
    pixels = _jpeg_pixels(picture.essence, colors, scale)
    rows, columns, _ = pixels.shape
    if picture.ink:
        inks = np.invert(pixels, out=pixels) if picture.adobe else pixels
        return Image.frombuffer("CMYK", (columns, rows), inks, "raw", "CMYK", 0, 1)
    image = Image.new("RGB" if channels == 3 else "L", (columns, rows), None)  # unlike `fromarray`'s, not filled first
    image.frombytes(pixels)
    return image


def _decoded_rare_jpeg(picture: PictureFile, size: tuple[int, int]) -> Image.Image:
    """Decode a JPEG whose chroma sampling simplejpeg has no name for; Pillow scales by 2, 4 and 8 alone."""
    image = JpegImagePlugin.JpegImageFile(io.BytesIO(picture.essence))
    if image.size != (picture.width, picture.height):
        raise damaged("JPEG", "it has two frame headers that do not agree")
    image.draft(None, size)
    _within_memory(picture, 8 * image.width * image.height, image.height, size)
    return _loaded(image, "JPEG")


def _jpeg_pixels(data: bytes, colors: str, scale: dict[str, int]) -> NDArray[Any]:
    """Decode strictly; a harmless remark alone is forgiven."""
    try:
        return simplejpeg.decode_jpeg(data, colors, strict=True, **scale)  # type: ignore[no-any-return]
    except ValueError as error:
        if "Premature end" in str(error) or not data.rstrip(b"\0").endswith(_END):
            raise truncated("JPEG") from error
        if not any(remark in str(error) for remark in _HARMLESS):
            raise damaged("JPEG", _reason(error)) from error
    return simplejpeg.decode_jpeg(data, colors, strict=False, **scale)  # type: ignore[no-any-return]


def _decoded_whole(picture: PictureFile, size: tuple[int, int], _channels: int) -> Image.Image:
    """Decode a PNG, GIF or WebP, which no library scales on the way."""
    _within_memory(picture, 0, picture.height, size)
    image = _OPENERS[picture.kind](io.BytesIO(picture.essence))
    if image.size != (picture.width, picture.height):
        raise damaged(picture.kind, "its header and its frame differ in size")
    return _loaded(image, picture.kind)


def _loaded(image: Image.Image, kind: PictureKind) -> Image.Image:
    try:
        image.load()
    except OSError as error:
        if "truncated" in str(error):
            raise truncated(kind) from error
        raise
    return image


def _resized(image: Image.Image, size: tuple[int, int], mode: str) -> Image.Image:
    """Flatten to `mode` and resize, strip by strip.

    A resize is a pass over rows, then one over columns; doing the first in strips changes no bit.
    """
    rows = max(1, _STRIP_PIXELS // image.width)
    bilinear = Image.Resampling.BILINEAR
    if image.height <= rows or _is_flat(image, mode):
        return _flat(image, mode).resize(size, bilinear)
    tall = Image.new(mode, (size[0], image.height))
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(top + rows, image.height)))
        tall.paste(_flat(strip, mode).resize((size[0], strip.height), bilinear), (0, top))
    return tall.resize(size, bilinear)


def _is_flat(image: Image.Image, mode: str) -> bool:
    return image.mode == mode and "transparency" not in image.info


def _flat(image: Image.Image, mode: str) -> Image.Image:
    """Any of Pillow's modes as RGB or grey, transparency over white."""
    if _is_flat(image, mode):
        return image
    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert(mode)
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        image = Image.new("RGB", layer.size, "white")
        image.paste(layer, mask=layer)
    return image.convert(mode)


def _upright(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Apply an EXIF orientation: from 5 on along the main diagonal first, then mirrored as needed."""
    if orientation >= _SIDEWAYS:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)
