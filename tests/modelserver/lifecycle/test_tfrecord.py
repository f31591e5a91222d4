"""TFRecord files and their checksum."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.modelserver.lifecycle import tfrecord
from serving.modelserver.lifecycle.crc32c import crc32c, masked_crc32c


@pytest.mark.parametrize(
    ("data", "checksum"),
    [
        pytest.param(b"", 0x00000000, id="nothing"),
        pytest.param(b"123456789", 0xE3069283, id="the-catalogue's-check-value"),
        pytest.param(bytes(32), 0x8A9136AA, id="rfc-3720-zeros"),
        pytest.param(b"\xff" * 32, 0x62A8AB43, id="rfc-3720-ones"),
        pytest.param(bytes(range(32)), 0x46DD794E, id="rfc-3720-rising"),
        pytest.param(bytes(range(31, -1, -1)), 0x113FDB5C, id="rfc-3720-falling"),
    ],
)
def test_the_checksum_is_castagnolis(data: bytes, checksum: int) -> None:
    assert crc32c(data) == checksum


def plain(data: bytes) -> int:
    """The checksum bit by bit."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


@settings(deadline=None)
@given(st.binary(max_size=700))
def test_lanes_give_the_same_as_one_bit_after_the_other(data: bytes) -> None:
    assert crc32c(data) == plain(data)


@pytest.mark.parametrize("size", [63, 64, 65, 4095, 4096, 4097, 65_537, 100_003])
def test_lanes_of_every_length_fit_together(size: int) -> None:
    data = np.random.default_rng(size).bytes(size)

    assert crc32c(data) == plain(data)


def test_a_record_is_stored_as_tensorflow_stores_it(tmp_path: Path) -> None:
    tfrecord.write(tmp_path / "file", [b"abc"])

    written = (tmp_path / "file").read_bytes()
    assert written[:8] == (3).to_bytes(8, "little")
    assert written[8:12] == masked_crc32c((3).to_bytes(8, "little")).to_bytes(4, "little")
    assert written[12:] == b"abc" + masked_crc32c(b"abc").to_bytes(4, "little")


def test_the_same_file_is_read_by_tensorflow(tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow", reason="needs TensorFlow: make install")
    contents = [b"", b"abc", bytes(range(256)) * 300]
    tfrecord.write(tmp_path / "ours", contents)
    with tf.io.TFRecordWriter(str(tmp_path / "theirs")) as writer:
        for content in contents:
            writer.write(content)

    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()
    assert list(tfrecord.read(tmp_path / "theirs")) == contents
