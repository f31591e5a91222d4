"""The head of a GIF, and the GIF with its first frame alone.

Comments, later frames and whatever follows are never read. One frame is what a classifier looks at.

Source: GIF89a specification, sections 17 to 27.
"""

from serving.preprocess.picture_file import PictureFile, damaged, truncated, with_pixels

MOST_BLOCKS = 400_000
"""Data comes in blocks of at most 255 bytes; so many hold a frame of 100 MB."""

_EXTENSION, _IMAGE, _TRAILER = 0x21, 0x2C, 0x3B
_GRAPHIC_CONTROL = 0xF9


def read(data: bytes) -> PictureFile:
    """Read a GIF up to the end of its first frame.

    Raises:
        BadInput: cut short before the end of the first frame, or against the rules.
    """
    try:
        return _read(data)
    except IndexError:
        raise truncated("GIF") from None


def _read(data: bytes) -> PictureFile:
    start = 13 + _color_table_bytes(data[10])
    control, at = _to_first_frame(data, start)
    left, top, across, down = (int.from_bytes(data[i : i + 2], "little") for i in range(at + 1, at + 9, 2))
    first_block = at + 10 + _color_table_bytes(data[at + 9]) + 1
    end = _after_blocks(data, first_block)
    if data[end] not in (_EXTENSION, _IMAGE, _TRAILER):
        raise damaged("GIF", "its first frame is followed by nonsense")
    with_pixels("GIF", across, down)
    width = max(int.from_bytes(data[6:8], "little"), left + across)
    height = max(int.from_bytes(data[8:10], "little"), top + down)
    view = memoryview(data)
    essence = b"".join((view[:start], control, view[at:end], bytes([_TRAILER])))
    return PictureFile(
        kind="GIF", width=width, height=height, decoder_bytes=width * height + len(essence), essence=essence
    )


def _color_table_bytes(packed: int) -> int:
    return 3 << (packed & 7) + 1 if packed & 0x80 else 0


def _to_first_frame(data: bytes, at: int) -> tuple[bytes, int]:
    """The last graphic control before the first frame, and where that frame's descriptor starts."""
    control = b""
    while data[at] == _EXTENSION:
        end = _after_blocks(data, at + 2)
        if data[at + 1] == _GRAPHIC_CONTROL:
            control = data[at:end]
        at = end
    if data[at] != _IMAGE:
        raise damaged("GIF", "it holds no frame")
    return control, at


def _after_blocks(data: bytes, at: int) -> int:
    """Skip blocks, each led by its length, up to and over the empty one that ends them."""
    for _ in range(MOST_BLOCKS):
        if data[at] == 0:
            return at + 1
        at += 1 + data[at]
    raise damaged("GIF", f"it has over {MOST_BLOCKS} blocks before the end of its first frame")
