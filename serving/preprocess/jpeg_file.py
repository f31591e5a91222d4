"""The head of a JPEG: size, way of coding, orientation, colors; found by its markers.

The walk follows libjpeg's, which skips anything between markers, so that both see the same frame.
What libjpeg-turbo keeps in memory for a progressive file is known from here before it is opened.

Source: ITU-T T.81, annex B; libjpeg-turbo, jdmarker.c.
"""

import re
from dataclasses import dataclass

from serving.errors import TooMuchToProcess, UnsupportedKind
from serving.preprocess import exif
from serving.preprocess.picture_file import PictureFile, damaged, truncated, with_pixels

MOST_SEGMENTS = 4096
"""More before the first scan is no photo but an attempt to keep us busy."""
MOST_SCANS = 100
USUAL_SCANS = 12
"""Every scan of a progressive file walks over the whole picture again; encoders write about ten."""
MOST_WALKED_PIXELS = 400_000_000
"""Pixels times scans, about 0.4 s of work: a file of 36 KB would keep a core busy for four times that otherwise."""

_MARKER = re.compile(rb"\xff([^\x00\xff])")
_BARE = frozenset((0x01, *range(0xD0, 0xD8)))
_SOI, _EOI, _SOS, _EXIF, _ADOBE = 0xD8, 0xD9, 0xDA, 0xE1, 0xEE
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_NOTED = _FRAMES | {_SOS, _EXIF, _ADOBE}
_SEQUENTIAL = frozenset((0xC0, 0xC1, 0xC9))
_PROGRESSIVE = frozenset((0xC2, 0xCA))


@dataclass(slots=True)
class _Head:
    """What the segments before the first scan say."""

    frame: bytes = b""
    coding: int = 0
    orientation: int = 1
    adobe: bool = False
    scan_components: int = 0


def read(data: bytes) -> PictureFile:
    """Read the head of a JPEG.

    Raises:
        BadInput: cut short before the first scan, or against the rules.
        UnsupportedKind: a coding that is not in common use (lossless, hierarchical, 12-bit).
        TooMuchToProcess: more scans than any encoder writes.
    """
    head = _walk(data)
    if head.coding not in _SEQUENTIAL | _PROGRESSIVE or head.frame[0] != 8:
        raise UnsupportedKind("this JPEG is lossless, hierarchical or not 8-bit; send a baseline or progressive one")
    height, width = int.from_bytes(head.frame[1:3]), int.from_bytes(head.frame[3:5])
    with_pixels("JPEG", width, height)
    components = head.frame[5]
    in_passes = head.coding in _PROGRESSIVE or head.scan_components < components
    most = min(MOST_SCANS, max(USUAL_SCANS, MOST_WALKED_PIXELS // (width * height)))
    if in_passes and (scans := data.count(b"\xff\xda")) > most:
        raise TooMuchToProcess(f"this JPEG has {scans} scans and of its size at most {most} are taken; save it anew")
    return PictureFile(
        kind="JPEG",
        width=width,
        height=height,
        decoder_bytes=_coefficient_bytes(head.frame, width, height) if in_passes else 0,
        essence=data,
        orientation=head.orientation,
        ink=components == 4,
        adobe=head.adobe,
    )


def _walk(data: bytes) -> _Head:
    head, at = _Head(), 2
    for _ in range(MOST_SEGMENTS):
        found = _MARKER.search(data, at)
        if found is None:
            raise truncated("JPEG")
        marker, at = found[1][0], found.end()
        if marker in _BARE:
            continue
        if marker in (_SOI, _EOI):
            raise damaged("JPEG", "it ends or starts anew before its first scan")
        end = at + int.from_bytes(data[at : at + 2])
        if len(data) < at + 2 or end > len(data):
            raise truncated("JPEG")
        if marker in _NOTED:
            _note(head, marker, data[at + 2 : end])
        if marker == _SOS:
            return head
        at = max(end, at + 2)
    raise damaged("JPEG", f"it has over {MOST_SEGMENTS} segments before its first scan")


def _note(head: _Head, marker: int, body: bytes) -> None:
    """Keep what matters of one segment."""
    if marker in _FRAMES:
        if head.frame or len(body) < 6 or len(body) != 6 + 3 * body[5] or not 1 <= body[5] <= 4:
            raise damaged("JPEG", "it has more than one frame header, or a malformed one")
        head.frame, head.coding = body, marker
    elif marker == _EXIF and body.startswith(b"Exif\0\0") and head.orientation == 1:
        head.orientation = exif.orientation(body)
    elif marker == _ADOBE and body.startswith(b"Adobe"):
        head.adobe = True
    elif marker == _SOS:
        if not head.frame or not body:
            raise damaged("JPEG", "its first scan comes before the frame header")
        head.scan_components = body[0]


def _coefficient_bytes(frame: bytes, width: int, height: int) -> int:
    """Memory for every coefficient of the picture, two bytes each, blocks padded to whole units."""
    factors = [(frame[at] >> 4, frame[at] & 15) for at in range(7, len(frame), 3)]
    if not all(1 <= across <= 4 and 1 <= down <= 4 for across, down in factors):
        raise damaged("JPEG", "it has impossible sampling factors")
    units_across = -(-width // (8 * max(across for across, _ in factors)))
    units_down = -(-height // (8 * max(down for _, down in factors)))
    return units_across * units_down * sum(across * down for across, down in factors) * 64 * 2
