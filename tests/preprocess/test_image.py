"""What a good picture becomes: sizes, colors, transparency, orientation."""

import io
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from serving.card import ImageInput
from serving.preprocess.image import to_pixels
from serving.preprocess.picture_kinds import open_picture
from tests.preprocess.pictures import SAMPLES, animation, drawing, encoded, exif, png, png_chunk, sixteen_bit

SPEC = ImageInput(height=24, width=32)
GREY = ImageInput(height=24, width=32, channels=1)


def reference(image: Image.Image, spec: ImageInput) -> NDArray[Any]:
    """Bilinear with antialiasing, in floating point and with whole matrices: the textbook, not the product."""

    def weights(size: int, target: int) -> NDArray[Any]:
        scale = size / target
        reach = max(scale, 1.0)
        centers = (np.arange(target) + 0.5) * scale
        distance = np.abs((np.arange(size) + 0.5)[None, :] - centers[:, None]) / reach
        triangle = np.clip(1 - distance, 0, None)
        return np.asarray(triangle / triangle.sum(axis=1, keepdims=True))

    pixels = np.asarray(image.convert("RGB"), dtype=np.float64)
    rows = np.einsum("ty,yxc->txc", weights(image.height, spec.height), pixels)
    return np.asarray(np.einsum("sx,txc->tsc", weights(image.width, spec.width), rows))


def difference(left: NDArray[Any], right: NDArray[Any]) -> float:
    return float(np.abs(left.astype(np.float64) - right.astype(np.float64)).max())


def test_a_picture_of_the_wanted_size_comes_out_untouched() -> None:
    pixels = np.arange(24 * 32 * 3, dtype=np.uint32).astype(np.uint8).reshape(24, 32, 3)

    assert np.array_equal(to_pixels(encoded(Image.fromarray(pixels), "PNG"), SPEC), pixels)


def test_halving_a_tiny_picture_gives_the_known_numbers() -> None:
    columns = np.tile(np.array([0, 0, 200, 200], dtype=np.uint8), (4, 1))

    halved = to_pixels(encoded(Image.fromarray(columns), "PNG"), ImageInput(height=1, width=2, channels=1))

    # Triangle of reach 2 about the pixel borders 1 and 3: weights 3, 3, 1 (of 7) fall on 0, 0, 200 and mirrored.
    assert halved.tolist() == [[[29], [171]]]


@pytest.mark.parametrize("size", [(300, 200), (31, 23), (33, 400), (1, 1), (7, 900)], ids=str)
def test_resizing_is_the_textbook_bilinear_with_antialiasing(size: tuple[int, int]) -> None:
    image = drawing(*size)

    assert difference(to_pixels(encoded(image, "PNG"), SPEC), reference(image, SPEC)) <= 1.6


@pytest.mark.parametrize("size", [(300, 200), (500, 375), (1600, 1200), (60, 40), (20, 700)], ids=str)
def test_a_jpeg_scaled_while_decoding_looks_like_one_decoded_whole(size: tuple[int, int]) -> None:
    whole = encoded(drawing(*size), "JPEG", quality=95, subsampling=0)

    with Image.open(io.BytesIO(whole)) as decoded:
        expected = reference(decoded, SPEC)

    assert difference(to_pixels(whole, SPEC), expected) <= 8


def test_rare_chroma_sampling_is_decoded_all_the_same() -> None:
    assert (to_pixels(SAMPLES["jpeg-rare"](), SPEC) == 128).all()


@pytest.mark.parametrize("name", sorted(set(SAMPLES) - {"jpeg-rare"}))
def test_every_format_and_mode_becomes_the_shape_that_the_card_asks_for(name: str) -> None:
    file = SAMPLES[name]()

    for spec in (SPEC, GREY):
        pixels = to_pixels(file, spec)
        assert pixels.shape == (spec.height, spec.width, spec.channels)
        assert pixels.dtype == np.uint8
        assert pixels.flags.c_contiguous
        assert pixels.std() > 10


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("kind", ["baseline", "progressive"])
def test_a_jpeg_keeps_its_colors_in_every_mode(mode: str, kind: str) -> None:
    image = drawing(120, 80, mode)
    file = encoded(image, "JPEG", quality=95, subsampling=0, progressive=kind == "progressive")

    assert difference(to_pixels(file, SPEC), reference(image, SPEC)) <= 8


def test_cmyk_without_an_adobe_marker_is_not_inverted() -> None:
    file = encoded(drawing(120, 80, "CMYK"), "JPEG", quality=95, subsampling=0)
    at = file.index(b"\xff\xee")
    bare = file[:at] + file[at + 2 + int.from_bytes(file[at + 2 : at + 4]) :]

    assert open_picture(file).adobe
    assert not open_picture(bare).adobe
    assert to_pixels(bare, SPEC).mean() < to_pixels(file, SPEC).mean() - 20


def test_sixteen_bit_grey_keeps_its_upper_byte() -> None:
    expected = Image.fromarray((np.asarray(sixteen_bit()) >> 8).astype(np.uint8))

    assert difference(to_pixels(encoded(sixteen_bit(), "PNG"), SPEC), reference(expected, SPEC)) <= 1.6


@pytest.mark.parametrize(
    ("kind", "options"),
    [("PNG", {}), ("WEBP", {"lossless": True, "exact": True})],
    ids=["png", "webp"],
)
@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_laid_over_white(kind: str, options: dict[str, Any], mode: str) -> None:
    image = drawing(mode=mode)
    white = Image.new("RGBA", image.size, "white")
    expected = Image.alpha_composite(white, image.convert("RGBA"))

    assert difference(to_pixels(encoded(image, kind, **options), SPEC), reference(expected, SPEC)) <= 2


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_a_transparent_palette_entry_becomes_white(kind: str) -> None:
    two = Image.new("P", (32, 24), 0)
    two.putpalette([200, 0, 0, 0, 200, 0])
    two.paste(1, (0, 0, 16, 24))

    pixels = to_pixels(encoded(two, kind, transparency=1), SPEC)

    assert pixels[:, :15].min() == 255
    assert pixels[0, 31].tolist() == [200, 0, 0]


def test_large_pictures_are_flattened_in_strips_without_a_seam() -> None:
    image = drawing(1200, 900, "RGBA")
    white = Image.new("RGBA", image.size, "white")
    at_once = Image.alpha_composite(white, image).convert("RGB").resize((32, 24), Image.Resampling.BILINEAR)

    assert difference(to_pixels(encoded(image, "PNG"), SPEC), np.asarray(at_once)) <= 1


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame_counts(kind: str) -> None:
    first, *rest = animation()
    lossless = {"lossless": True} if kind == "WEBP" else {}
    moving = encoded(first, kind, save_all=True, append_images=rest, **lossless)

    assert np.array_equal(to_pixels(moving, SPEC), to_pixels(encoded(first, kind, **lossless), SPEC))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("order", ["<", ">"], ids=["little-endian", "big-endian"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_every_orientation_comes_out_upright(kind: str, order: str, orientation: int) -> None:
    options: dict[str, Any] = {"exif": (b"" if kind == "PNG" else b"Exif\0\0") + exif(orientation, order)}
    stored = encoded(drawing(90, 50), kind, **options, **({"lossless": True} if kind == "WEBP" else {}))

    with Image.open(io.BytesIO(stored)) as image:
        expected = reference(ImageOps.exif_transpose(image), SPEC)

    assert open_picture(stored).orientation == orientation
    assert difference(to_pixels(stored, SPEC), expected) <= (12 if kind == "JPEG" else 1.6)


@pytest.mark.parametrize("orientation", [0, 9, 65_535])
def test_an_orientation_that_does_not_exist_is_ignored(orientation: int) -> None:
    file = encoded(drawing(), "PNG", exif=exif(orientation))

    assert np.array_equal(to_pixels(file, SPEC), to_pixels(encoded(drawing(), "PNG"), SPEC))


def test_color_profiles_are_ignored_even_when_they_are_garbage() -> None:
    profile = {"icc_profile": b"\0garbage" * 99}

    for kind in ("JPEG", "PNG", "WEBP"):
        plain, with_profile = encoded(drawing(), kind), encoded(drawing(), kind, **profile)
        assert np.array_equal(to_pixels(plain, SPEC), to_pixels(with_profile, SPEC))


def test_what_follows_a_picture_is_ignored() -> None:
    for name in ("jpeg", "png", "gif", "webp"):
        file = SAMPLES[name]()
        assert np.array_equal(to_pixels(file + b"PK\3\4 and a whole archive", SPEC), to_pixels(file, SPEC))


def test_a_view_of_memory_is_as_good_as_bytes() -> None:
    file = SAMPLES["jpeg"]()

    assert np.array_equal(to_pixels(memoryview(b"x" + file)[1:], SPEC), to_pixels(file, SPEC))


@pytest.mark.parametrize("name", ["jpeg", "png-palette-alpha", "webp-animated", "gif"])
def test_many_threads_get_the_same_pixels(name: str) -> None:
    file = SAMPLES[name]()
    expected = to_pixels(file, SPEC)
    task: Callable[[int], bool] = lambda _: np.array_equal(to_pixels(file, SPEC), expected)  # noqa: E731

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(task, range(400)))


def test_extra_chunks_of_a_png_are_never_opened() -> None:
    rows = b"\0" + bytes(range(32))
    extras = png_chunk(b"zTXt", b"not zlib at all") + png_chunk(b"iCCP", b"x\0\0junk") + png_chunk(b"prIV", b"?")

    body = zlib.compress(rows * 24)

    assert np.array_equal(
        to_pixels(png(32, 24, body=body, extras=extras), SPEC), to_pixels(png(32, 24, body=body), SPEC)
    )


@pytest.mark.usefixtures("shared_data")
def test_real_photos_all_decode(shared_data: Any) -> None:
    photos = sorted(shared_data.glob("*/test/*/*.jpg"))[::5]

    shapes = {to_pixels(photo.read_bytes(), SPEC).shape for photo in photos}

    assert len(photos) > 50
    assert shapes == {(24, 32, 3)}
