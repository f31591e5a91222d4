"""Hostile pictures by way of HTTP: a defined answer for each, no fault of the server, and no memory lost."""

import http.client
import io
import sys
import zlib
from collections.abc import Callable, Mapping

import pytest

from tests.bench.fixed_server import MODEL, READY
from tests.bench.servers import gateway as gateway_process
from tests.gateway.caller import GREEN, JPEG, RED, Caller
from tests.preprocess.mutants import mutant, seeds
from tests.preprocess.pictures import animation, drawing, encoded, exif, jpeg_saying, png, sixteen_bit
from tests.processes import following


def zeros(width: int, height: int) -> bytes:
    """A small PNG file of so many black pixels."""
    packer = zlib.compressobj(9)
    packed = [packer.compress(bytes(1 + width)) for _ in range(height)]
    return png(width, height, body=b"".join([*packed, packer.flush()]))


def moving(kind: str) -> bytes:
    file = io.BytesIO()
    first, *rest = animation()
    first.save(file, kind, save_all=True, append_images=rest)
    return file.getvalue()


REFUSED: Mapping[str, tuple[Callable[[], bytes], int]] = {
    "bomb": (lambda: png(30_000, 30_000, body=b"x" * 50_000), 422),
    "real-bomb": (lambda: zeros(8_000, 8_000), 422),
    "largest-jpeg": (lambda: jpeg_saying(65_535, 65_535), 422),
    "no-width": (lambda: png(0, 10), 400),
    "no-height": (lambda: jpeg_saying(10, 0), 400),
    "cut": (lambda: GREEN[:-40], 400),
    "huffman": (lambda: RED.replace(b"\xff\xc4\x00", b"\xff\xc4\xff", 1), 400),
    "svg": (lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415),
    "pdf": (lambda: b"%PDF-1.7\n" + RED, 415),
    "heic": (lambda: b"\x00\x00\x00\x18ftypheic" + bytes(100), 415),
    "tiff": (lambda: encoded(drawing(), "TIFF"), 415),
    "bmp": (lambda: encoded(drawing(), "BMP"), 415),
    "html": (lambda: b"<html><script>1</script>", 400),
}
TAKEN: Mapping[str, Callable[[], bytes]] = {
    "cmyk": lambda: encoded(drawing(mode="CMYK"), "JPEG"),
    "sixteen-bit": lambda: encoded(sixteen_bit(), "PNG"),
    "palette": lambda: encoded(drawing(mode="P"), "PNG"),
    "gif": lambda: moving("GIF"),
    "webp": lambda: moving("WEBP"),
    "turned": lambda: encoded(drawing(), "JPEG", exif=exif(6)),
    "bad-profile": lambda: encoded(drawing(), "JPEG", icc_profile=b"junk" * 50),
    "polyglot": lambda: RED + b"PK\x03\x04<html>",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_dangerous_or_broken_is_refused_in_words(gateway: Caller, name: str) -> None:
    made, status = REFUSED[name]
    answer = gateway.classify(made())

    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")
    assert len(answer.json["detail"]) > 20


@pytest.mark.parametrize("name", TAKEN)
def test_what_is_odd_but_a_picture_is_answered(gateway: Caller, name: str) -> None:
    assert gateway.classify(TAKEN[name]()).status == 200


def test_a_thousand_pictures_good_and_bad_leave_no_memory_behind() -> None:
    command = [sys.executable, "-m", "tests.bench.fixed_server", "0"]
    sound = seeds()
    broken = [make() for name, (make, _) in REFUSED.items() if name != "real-bomb"]
    bodies = [mutant(number, sound) for number in range(150)] + broken + [RED] * 30
    with following(command, READY) as (_, lines), gateway_process(lines[-1].removeprefix(READY)) as server:
        asks = HttpSpell(server.gateway)
        asks.spell(bodies * 3)
        before = server.resident_mb
        asks.spell(bodies * 3)
        grown = server.resident_mb - before

    assert grown < 8, f"{grown:.1f} MB"
    assert asks.statuses <= {200, 400, 415, 422}


class HttpSpell:
    """One caller, one connection."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.statuses: set[int] = set()

    def spell(self, bodies: list[bytes]) -> None:
        connection = http.client.HTTPConnection(self.address, timeout=30)
        for body in bodies:
            connection.request("POST", f"/v1/models/{MODEL}/classify", body, JPEG)
            answer = connection.getresponse()
            answer.read()
            self.statuses.add(answer.status)
        connection.close()
