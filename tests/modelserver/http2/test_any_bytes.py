"""Whatever bytes come, in whatever pieces: the same frames, headers and messages, or an orderly end."""

import contextlib
import socket
import struct
import time
import zlib
from typing import Any

import hpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.errors import Overloaded, ServingError
from serving.modelserver.grpc_frames import MessageReader
from serving.modelserver.http2.connection import Connection
from serving.modelserver.http2.frame_reader import FrameReader
from serving.modelserver.http2.frames import ConnectionFault, Malformed
from serving.modelserver.http2.header_blocks import HeaderReader
from serving.modelserver.http2.limits import ConnectionLimits
from serving.modelserver.http2.stream import NOBODY
from tests.modelserver.http2.callers import DATA, PADDED, PREFACE, call_head, frame, framed, request_fields
from tests.modelserver.http2.callers import settings as settings_frame
from tests.modelserver.http2.doors import Stage

FEW = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
FRAMES = st.builds(
    frame, st.integers(0, 12), st.integers(0, 255), st.integers(0, 9), st.one_of(st.binary(max_size=40), st.just(b""))
)
CUTS = st.lists(st.integers(1, 60), max_size=30)


def pieces(whole: bytes, cuts: list[int]) -> list[bytes]:
    """The same bytes in pieces of these lengths; what is left is the last."""
    found, place = [], 0
    for cut in cuts:
        found.append(whole[place : place + cut])
        place += cut
    return [piece for piece in (*found, whole[place:]) if piece]


class Heard:
    """What rules hear of frames; data in one piece for each frame."""

    def __init__(self) -> None:
        self.frames: list[tuple[Any, ...]] = []
        self._data = b""

    def frame(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        self.frames.append((kind, flags, number, payload))

    def data_begins(self, number: int, flags: int, length: int) -> None:
        self.frames.append((DATA, flags, number, length))
        self._data = b""

    def data(self, part: memoryview) -> None:
        self._data += part

    def data_ends(self) -> None:
        self.frames.append(("end", self._data))


def heard(parts: list[bytes]) -> tuple[list[tuple[Any, ...]], str]:
    rules = Heard()
    reader = FrameReader(rules)
    try:
        for part in parts:
            reader.receive(memoryview(part))
    except ConnectionFault as fault:
        return rules.frames, fault.message
    return rules.frames, ""


@FEW
@given(st.lists(FRAMES, max_size=8), CUTS)
def test_frames_are_the_same_however_the_bytes_are_cut(sent: list[bytes], cuts: list[int]) -> None:
    whole = PREFACE + b"".join(sent)

    assert heard(pieces(whole, cuts)) == heard([whole])


def test_padding_is_no_data_and_counts_as_length() -> None:
    frames, fault = heard([PREFACE + frame(DATA, PADDED, 1, b"\3hello" + bytes(3)) + frame(DATA, 0, 1, b"x")])

    assert (frames, fault) == ([(DATA, PADDED, 1, 9), ("end", b"hello"), (DATA, 0, 1, 1), ("end", b"x")], "")


def rules_of(near: socket.socket) -> Connection:
    """One connection whose requests nobody answers."""
    return Connection(near, ConnectionLimits(), lambda stream, headers: NOBODY, lambda wanted: None)


@contextlib.contextmanager
def lone_connection() -> Any:
    near, far = socket.socketpair()
    near.setblocking(False)
    with near, far:
        yield rules_of(near)


@FEW
@given(st.one_of(st.binary(max_size=300), st.lists(FRAMES, max_size=20).map(b"".join)), CUTS)
def test_any_bytes_behind_the_preface_are_taken_or_a_fault_of_the_connection(sent: bytes, cuts: list[int]) -> None:
    with lone_connection() as connection, contextlib.suppress(ConnectionFault):
        for part in pieces(PREFACE + settings_frame() + call_head(1) + sent, cuts):
            connection.receive(memoryview(part))


CALLS = st.builds(
    lambda stream, method, changes, body: call_head(stream, method, **changes) + frame(DATA, 1, stream, body),
    st.sampled_from((1, 3, 5, 7)),
    st.sampled_from(("Echo", "AtOnce", "Talk", "Watch", "Swell", "Fail")),
    st.dictionaries(st.sampled_from(("grpc_timeout", "grpc_encoding")), st.sampled_from(("1n", "1S", "", "gzip"))),
    st.one_of(st.binary(max_size=20), st.binary(max_size=20).map(framed)),
)


@FEW
@given(st.lists(st.one_of(CALLS, FRAMES), max_size=20).map(b"".join), CUTS)
def test_any_calls_leave_nothing_behind(shared: Stage, sent: bytes, cuts: list[int]) -> None:
    near, far = socket.socketpair()
    near.setblocking(False)
    with near, far:
        connection = Connection(near, ConnectionLimits(), shared.door._begin, lambda wanted: None)
        with contextlib.suppress(ConnectionFault):
            for part in pieces(PREFACE + settings_frame() + sent, cuts):
                connection.receive(memoryview(part))
        connection.look(time.monotonic())
        connection.lost()
    shared.until_nothing_is_held()
    assert not shared.acts.watching


@FEW
@given(st.binary(max_size=200))
def test_any_bytes_are_headers_or_an_orderly_error(block: bytes) -> None:
    with contextlib.suppress(ConnectionFault, Malformed):
        HeaderReader().read(block)


NAMES = st.sampled_from(["x-one", "x-two", "grpc-timeout", "user-agent", "x-long"])
VALUES = st.sampled_from(["", "a", "b", "c" * 300, "d" * 1500, "e" * 3000])
EXTRAS = st.lists(st.tuples(NAMES, VALUES, st.booleans()), max_size=4, unique_by=lambda field: field[0])
SIZES = st.one_of(st.none(), st.none(), st.none(), st.sampled_from([0, 100, 1000, 4096]))


@FEW
@given(st.lists(st.tuples(SIZES, EXTRAS, st.booleans()), max_size=25))
def test_headers_are_those_of_a_decoder_without_memory(
    requests: list[tuple[int | None, list[tuple[str, str, bool]], bool]],
) -> None:
    encoder, plain, reader = hpack.Encoder(), hpack.Decoder(), HeaderReader()
    for size, extras, huffman in requests:
        if size is not None:
            encoder.header_table_size = size
        fields: list[Any] = list(request_fields().items())
        fields += [hpack.NeverIndexedHeaderTuple(*extra[:2]) if extra[2] else extra[:2] for extra in extras]
        block = encoder.encode(fields, huffman=huffman)

        assert dict(reader.read(block)) == dict(plain.decode(block, raw=True))


def test_headers_that_repeat_are_remembered_until_a_table_changes() -> None:
    encoder, reader = hpack.Encoder(), HeaderReader()
    fields = list(request_fields().items())
    reader.read(encoder.encode(fields))
    repeated = encoder.encode(fields)

    reader.read(repeated)
    assert reader.read(repeated) is reader.read(repeated)
    before = dict(reader.read(repeated))
    other = encoder.encode([(":method", "POST"), (":scheme", "http"), (":path", "/new"), ("x", "new")])
    assert reader.read(other)[b":path"] == b"/new"
    assert dict(reader.read(encoder.encode(fields))) == before


MESSAGES = st.lists(st.tuples(st.binary(max_size=80), st.booleans()), max_size=6)


def packed(message: bytes, encoding: bytes) -> bytes:
    pack = zlib.compressobj(wbits=31 if encoding == b"gzip" else 15)
    return pack.compress(message) + pack.flush()


@FEW
@given(MESSAGES, st.sampled_from([b"gzip", b"deflate"]), CUTS)
def test_messages_are_the_same_however_the_bytes_are_cut(
    sent: list[tuple[bytes, bool]], encoding: bytes, cuts: list[int]
) -> None:
    whole = b"".join(framed(packed(text, encoding), 1) if pack else framed(text) for text, pack in sent)
    taken: list[int] = []
    reader = MessageReader(encoding, taken.append)
    found = []
    for part in pieces(whole, cuts):
        reader.feed(memoryview(part))
        found += reader.messages()

    assert (found, reader.in_message) == ([text for text, _ in sent], False)
    assert sum(taken) >= sum(len(text) for text in found)


@FEW
@given(st.binary(max_size=200), st.sampled_from([b"", b"gzip", b"deflate", b"zstd"]))
def test_any_body_is_messages_or_an_error_of_the_family(body: bytes, encoding: bytes) -> None:
    reader = MessageReader(encoding, lambda count: None)
    with contextlib.suppress(ServingError):
        reader.feed(memoryview(body))
        reader.messages()


@pytest.mark.parametrize("size", [10, 70_000, 3_000_000], ids=["small", "some pieces", "large"])
def test_large_messages_unpack_to_themselves(size: int) -> None:
    message = struct.pack(">I", 0x1234567) * (size // 4)
    reader = MessageReader(b"gzip", lambda count: None)
    reader.feed(memoryview(framed(packed(message, b"gzip"), 1)))

    assert reader.messages() == [message]


def test_a_message_that_unpacks_without_end_is_stopped_on_the_way() -> None:
    taken = 0

    def take(count: int) -> None:
        nonlocal taken
        if taken + count > 5_000_000:
            raise Overloaded("enough")
        taken += count

    reader = MessageReader(b"gzip", take)
    reader.feed(memoryview(framed(packed(bytes(200_000_000), b"gzip"), 1)))
    with pytest.raises(Overloaded, match="enough"):
        reader.messages()
