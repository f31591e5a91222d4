"""CRC-32C (Castagnoli), the checksum of TFRecord files, at the speed of numpy.

A checksum is linear: the bytes are cut into lanes of equal length, all lanes advance together one
byte at a time, and neighbors are then joined two by two. 10 MB take about 0.1 s; a plain loop takes 3.
"""

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint32]

_POLYNOMIAL = 0x82F63B78
_MASK_DELTA = 0xA282EAD8
_SHORT = 64
"""Below so many bytes the plain loop is faster."""
_LANES = 4096
_BITS = np.arange(32, dtype=np.uint32)


def _table() -> Words:
    words = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        words = np.where(words & 1, words >> 1 ^ np.uint32(_POLYNOMIAL), words >> 1).astype(np.uint32)
    return words


_TABLE = _table()
_STEPS: list[int] = _TABLE.tolist()


def crc32c(data: bytes | memoryview) -> int:
    """The checksum of the data; of none at all it is 0.

    Source: RFC 3720, appendix B.4 (its test vectors are in the tests).
    """
    if len(data) < _SHORT:
        crc = 0xFFFFFFFF
        for byte in data:
            crc = _STEPS[(crc ^ byte) & 0xFF] ^ crc >> 8
        return crc ^ 0xFFFFFFFF
    return _of_lanes(np.frombuffer(data, np.uint8)) ^ 0xFFFFFFFF


def masked_crc32c(data: bytes | memoryview) -> int:
    """As TFRecord files store it, so that a file that holds checksums can be checked itself."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF


def _of_lanes(data: NDArray[np.uint8]) -> int:
    """The register after all bytes. Zeros in front of the data leave it at zero, so they may fill the first lane."""
    lanes = min(_LANES, 1 << (len(data) // 16).bit_length())
    length = -(-len(data) // lanes)
    padded = np.zeros(lanes * length, np.uint8)
    start = len(padded) - len(data)
    padded[start:] = data
    padded[start : start + 4] ^= 0xFF  # the register starts as all ones
    crcs = np.zeros(lanes, np.uint32)
    for column in np.ascontiguousarray(padded.reshape(lanes, length).T):
        crcs = _TABLE[(crcs ^ column) & 0xFF] ^ crcs >> 8
    shift = _shift_by(length)
    while len(crcs) > 1:
        crcs = _apply(shift, crcs[0::2]) ^ crcs[1::2]
        shift = _apply(shift, shift)
    return int(crcs[0])


def _shift_by(length: int) -> Words:
    """What so many zero bytes make of each single bit of the register."""
    bits = np.uint32(1) << _BITS
    result, square = bits, _TABLE[bits & 0xFF] ^ bits >> 8
    while length:
        if length & 1:
            result = _apply(square, result)
        square = _apply(square, square)
        length >>= 1
    return result


def _apply(operator: Words, words: Words) -> Words:
    """The operator, given as the image of each bit, on every word."""
    result = np.zeros_like(words)
    for bit, image in zip(_BITS, operator, strict=True):
        result ^= (words >> bit & np.uint32(1)) * image
    return result
