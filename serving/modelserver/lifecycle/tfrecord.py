"""TFRecord files: length, checksum of the length, data, checksum of the data, and again.

Source: tensorflow/core/lib/io/record_reader.cc; crc32c.py has the checksum.
"""

import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from serving.errors import DataLoss
from serving.modelserver.lifecycle.crc32c import masked_crc32c

_HEADER = struct.Struct("<QI")
_LENGTH = struct.Struct("<Q")
_FOOTER = struct.Struct("<I")


def read(path: Path) -> Iterator[bytes]:
    """Every record of a file, one at a time.

    Raises:
        DataLoss: a checksum is wrong or the file ends too soon; the text names the place.
        OSError: the file cannot be read.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        while (start := file.tell()) < size:
            yield _record(file, start, size)


def _record(file: BinaryIO, start: int, size: int) -> bytes:
    header = file.read(_HEADER.size)
    if len(header) < _HEADER.size:
        raise DataLoss(f"truncated record at {start}")
    length, checksum = _HEADER.unpack(header)
    if masked_crc32c(header[: _LENGTH.size]) != checksum:
        hint = " (Is this even a TFRecord file?)" if not start else ""
        raise DataLoss(f"corrupted record at {start}{hint}")
    if length > size - start - _HEADER.size - _FOOTER.size:
        raise DataLoss(f"truncated record at {start}")
    data, footer = file.read(length), file.read(_FOOTER.size)
    if len(data) < length or len(footer) < _FOOTER.size:
        raise DataLoss(f"truncated record at {start}")
    if masked_crc32c(data) != _FOOTER.unpack(footer)[0]:
        raise DataLoss(f"corrupted record at {start}")
    return data


def write(path: Path, records: Iterable[bytes]) -> None:
    """Make a file of these records."""
    with open(path, "wb") as file:
        for record in records:
            length = _LENGTH.pack(len(record))
            file.write(length + _FOOTER.pack(masked_crc32c(length)) + record + _FOOTER.pack(masked_crc32c(record)))
