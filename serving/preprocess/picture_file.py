"""PictureFile: what the head of a picture file promises, before anything is decoded.

jpeg_file, png_file, gif_file and webp_file each read one; picture_kinds.py chooses among them,
image.py decodes. Nothing here allocates by a number that came out of a file.
"""

from dataclasses import dataclass
from typing import Literal

from serving.errors import BadInput

PictureKind = Literal["JPEG", "PNG", "GIF", "WebP"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureFile:
    """One picture, still packed."""

    kind: PictureKind
    width: int
    """Columns of pixels as stored, before the orientation is applied."""
    height: int
    """Rows of pixels as stored."""
    decoder_bytes: int
    """Memory that a decoder must hold for the whole picture at once; 0 where it can scale row by row."""
    essence: bytes
    """What the decoder has to see: the file without what could be used to trouble it."""
    orientation: int = 1
    """EXIF orientation, 1 to 8; 1 is upright."""
    ink: bool = False
    """A JPEG of four components, CMYK or YCCK."""
    adobe: bool = False
    """An Adobe marker is there; with ink it means that the values are stored inverted."""

    @property
    def pixels(self) -> int:
        """Rows times columns, as stored."""
        return self.width * self.height


def truncated(kind: PictureKind) -> BadInput:
    """The file ends before the picture does."""
    return BadInput(f"the {kind} is truncated: the file ends before the picture does; send the whole file")


def damaged(kind: PictureKind, what: str) -> BadInput:
    """The file breaks the rules of its own format."""
    return BadInput(f"the {kind} is damaged: {what}")


def with_pixels(kind: PictureKind, width: int, height: int) -> None:
    """Refuse a picture that has no pixels at all."""
    if width < 1 or height < 1:
        raise damaged(kind, f"its header says {width}x{height} pixels")
