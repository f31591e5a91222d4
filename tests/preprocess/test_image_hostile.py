"""What a bad or hostile picture meets: a defined refusal, before any large allocation."""

import re
import zlib

import pytest

from serving.card import ImageInput
from serving.errors import BadInput, ServingError, TooMuchToProcess, UnsupportedKind
from serving.preprocess.image import to_pixels
from tests.preprocess.pictures import JPEG_END, SAMPLES, drawing, encoded, jpeg_saying, png, png_chunk

SPEC = ImageInput(height=24, width=32)
WHOLE_FILE_COUNTS = sorted(set(SAMPLES) - {"gif-animated"})
"""Of an animated GIF only the first frame is read, so a cut behind it does no harm."""


def outcome(data: bytes, spec: ImageInput = SPEC) -> ServingError | None:
    """The refusal, or None where pixels came out."""
    try:
        to_pixels(data, spec)
    except ServingError as error:
        return error
    return None


@pytest.mark.parametrize("name", WHOLE_FILE_COUNTS)
def test_a_file_cut_anywhere_is_refused_as_truncated(name: str) -> None:
    file = SAMPLES[name]()
    cuts = {*range(12, len(file), max(1, len(file) // 200)), *range(len(file) - 40, len(file))}

    for cut in sorted(cuts):
        error = outcome(file[:cut])
        assert type(error) is BadInput, f"cut at {cut} of {len(file)}: {error}"
        assert "truncated" in error.message


def test_a_cut_inside_the_signature_is_not_a_picture() -> None:
    for name in ("jpeg", "png", "gif", "webp"):
        for cut in (1, 2):
            assert "not a picture" in str(outcome(SAMPLES[name]()[:cut]))


def test_nothing_at_all_is_refused_with_a_sentence_of_its_own() -> None:
    with pytest.raises(BadInput, match="empty"):
        to_pixels(b"", SPEC)


@pytest.mark.parametrize("data", [b"hello", b"\0" * 100, b"<html><body>", b"PK\3\4", b"\xff\xd8", b"RIFF\0\0\0\0WAVE"])
def test_what_is_no_picture_is_refused_and_the_accepted_formats_are_named(data: bytes) -> None:
    with pytest.raises(BadInput, match="JPEG, PNG, WebP or GIF"):
        to_pixels(data, SPEC)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("SVG", b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
        ("SVG", b"\xef\xbb\xbf <?xml version='1.0'?>\n<!-- a --><SVG>"),
        ("PDF", b"%PDF-1.7\n" + SAMPLES["jpeg"]()),
        ("HEIC", b"\0\0\0\x18ftypheic\0\0\0\0"),
        ("AVIF", b"\0\0\0\x18ftypavif\0\0\0\0"),
        ("MPEG-4", b"\0\0\0\x18ftypisom\0\0\0\0"),
        ("TIFF", encoded(drawing(), "TIFF")),
        ("TIFF", b"MM\0*\0\0\0\x08"),
        ("BMP", encoded(drawing(), "BMP")),
        ("ICO", encoded(drawing(16, 16), "ICO")),
        ("JPEG 2000", b"\0\0\0\x0cjP  \r\n\x87\n"),
        ("JPEG XL", b"\xff\x0a\0\0"),
        ("Photoshop", b"8BPS\0\1"),
    ],
)
def test_other_kinds_are_refused_by_name_and_the_accepted_ones_are_listed(name: str, data: bytes) -> None:
    with pytest.raises(UnsupportedKind, match=f"{re.escape(name)} .*send JPEG, PNG, WebP or GIF"):
        to_pixels(data, SPEC)


def test_a_small_png_of_nine_hundred_million_pixels_is_refused_unopened() -> None:
    rows = zlib.compressobj(9)
    bomb = png(30_000, 30_000, color=2, body=b"".join(rows.compress(bytes(90_001)) for _ in range(500)) + rows.flush())

    assert len(bomb) < 60_000
    with pytest.raises(TooMuchToProcess, match=r"30000x30000 pixels and at most 40,000,000"):
        to_pixels(bomb, SPEC)


@pytest.mark.parametrize("marker", [0xC0, 0xC2], ids=["baseline", "progressive"])
def test_a_jpeg_header_that_claims_the_largest_size_is_refused(marker: int) -> None:
    with pytest.raises(TooMuchToProcess, match="65535x65535"):
        to_pixels(jpeg_saying(65_535, 65_535, marker=marker), SPEC)


def test_the_cap_on_pixels_is_the_card_s() -> None:
    small = ImageInput(height=24, width=32, max_pixels=60 * 40)

    assert outcome(encoded(drawing(60, 40), "PNG"), small) is None
    assert isinstance(outcome(encoded(drawing(61, 40), "PNG"), small), TooMuchToProcess)


@pytest.mark.parametrize(
    "data",
    [
        png(5000, 5000, color=2, body=zlib.compress(bytes(15_001) * 50)),
        jpeg_saying(6000, 6000, marker=0xC2),
        jpeg_saying(65_000, 600, marker=0xC1)[:-2] + JPEG_END,
    ],
    ids=["png", "progressive-jpeg", "very-wide-jpeg"],
)
def test_what_would_take_too_much_memory_is_refused_though_under_the_pixel_cap(data: bytes) -> None:
    spec = ImageInput(height=600, width=600)

    with pytest.raises(TooMuchToProcess, match=r"MB to decode .* baseline JPEG"):
        to_pixels(data, spec)


@pytest.mark.parametrize(("width", "height"), [(0, 16), (16, 0), (0, 0)])
def test_zero_pixels_are_damage_in_every_format(width: int, height: int) -> None:
    gif, webp = bytearray(SAMPLES["gif"]()), bytearray(SAMPLES["webp"]())
    frame = gif.index(b"\x2c\0\0\0\0", 700)
    gif[frame + 5 : frame + 9] = width.to_bytes(2, "little") + height.to_bytes(2, "little")
    webp[26:30] = width.to_bytes(2, "little") + height.to_bytes(2, "little")

    for data in (jpeg_saying(width, height), png(width, height, body=zlib.compress(b"")), bytes(gif), bytes(webp)):
        error = outcome(data)
        assert type(error) is BadInput
        assert f"{width}x{height} pixels" in error.message


def test_a_second_frame_header_in_a_jpeg_is_damage_wherever_it_stands() -> None:
    file = SAMPLES["jpeg"]()
    at = file.index(b"\xff\xc0")
    frame = file[at : at + 19]
    larger = frame[:5] + b"\x7f\xff\x7f\xff" + frame[9:]

    for place in (at, at + 19):
        assert type(outcome(file[:place] + larger + file[place:])) is BadInput
    assert isinstance(outcome(file[:-2] + larger + JPEG_END), BadInput)


def test_corrupt_huffman_tables_and_data_are_damage() -> None:
    file = SAMPLES["jpeg"]()
    table, scan = file.index(b"\xff\xc4"), file.index(b"\xff\xda")
    full_of_codes = file[: table + 5] + b"\xff" * 16 + file[table + 21 :]
    scrambled = file[: scan + 14] + bytes(b ^ 0x55 if b not in (0xAA, 0xFF, 0) else b for b in file[scan + 14 : -2])

    for data in (full_of_codes, scrambled + JPEG_END):
        error = outcome(data)
        assert type(error) is BadInput
        assert "damaged" in error.message


def test_bytes_before_a_marker_that_cameras_leave_behind_are_forgiven() -> None:
    file = SAMPLES["jpeg"]()

    assert outcome(file[:-2] + bytes(214) + JPEG_END) is None


def test_a_progressive_jpeg_of_endless_scans_is_refused() -> None:
    file = SAMPLES["jpeg-progressive"]()
    last = file.rindex(b"\xff\xda")

    with pytest.raises(TooMuchToProcess, match="scans"):
        to_pixels(file[:-2] + file[last:-2] * 200 + JPEG_END, SPEC)


def test_a_large_progressive_jpeg_may_have_fewer_scans_than_a_small_one() -> None:
    large = encoded(drawing(4000, 4000, mode="L"), "JPEG", progressive=True)
    last = large.rindex(b"\xff\xda")

    assert outcome(large) is None
    with pytest.raises(TooMuchToProcess, match="of its size at most 25"):
        to_pixels(large[:-2] + large[last:-2] * 40 + JPEG_END, SPEC)


@pytest.mark.parametrize("marker", [0xC3, 0xC5, 0xCB], ids=["lossless", "hierarchical", "arithmetic-lossless"])
def test_rare_jpeg_codings_are_an_unsupported_kind(marker: int) -> None:
    with pytest.raises(UnsupportedKind, match="baseline or progressive"):
        to_pixels(jpeg_saying(16, 16, marker=marker), SPEC)


def test_text_that_inflates_to_gigabytes_is_never_inflated() -> None:
    bomb = zlib.compress(bytes(30_000_000), 9)
    extras = png_chunk(b"zTXt", b"a\0\0" + bomb) + png_chunk(b"iCCP", b"a\0\0" + bomb)
    extras += png_chunk(b"iTXt", b"a\0\1\0\0\0" + bomb)

    assert outcome(png(4, 4, body=zlib.compress(bytes(20)), extras=extras * 8)) is None


def test_a_wrong_checksum_in_a_png_is_damage() -> None:
    file = bytearray(SAMPLES["png"]())
    file[file.index(b"IDAT") + 20] ^= 1

    with pytest.raises(BadInput, match=r"damaged: a checksum"):
        to_pixels(bytes(file), SPEC)


def test_endless_small_parts_are_refused_before_they_cost_time() -> None:
    jpeg, at = SAMPLES["jpeg"](), 2
    png_file = SAMPLES["png"]()
    gif = SAMPLES["gif"]()

    for data in (
        jpeg[:at] + b"\xff\xfe\0\2" * 5000 + jpeg[at:],
        png_file[:33] + png_chunk(b"tEXt", b"") * 70_000 + png_file[33:],
        gif[:781] + b"\x21\xfe" + b"\1a" * 500_000 + b"\0" + gif[781:],
    ):
        error = outcome(data)
        assert type(error) is BadInput
        assert re.search(r"over \d+ (segments|chunks|blocks)", error.message)


def test_a_document_that_hides_a_picture_is_what_it_starts_with() -> None:
    picture = SAMPLES["png"]()

    assert isinstance(outcome(b"%PDF-1.4\n" + picture), UnsupportedKind)
    assert isinstance(outcome(b"<svg>" + picture), UnsupportedKind)
    assert outcome(picture + b"<svg><script>alert(1)</script></svg>%PDF-1.4") is None
