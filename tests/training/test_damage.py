import numpy as np
import pytest

from training import damage, sample_texts


@pytest.mark.parametrize("channels", [1, 3])
def test_every_damage_to_pictures_keeps_their_form_changes_them_and_is_the_same_again(channels: int) -> None:
    ramp = np.linspace(40, 200, 32)
    pictures = np.stack([np.repeat((ramp[:, None] + ramp[None])[..., None] / 2, channels, axis=2)] * 3).astype(np.uint8)
    pictures[:, 8:16, 8:16] = 250

    for name, make in damage.of_pictures(pictures).items():
        copies = make()
        assert copies.shape == pictures.shape, name
        assert copies.dtype == np.uint8
        assert (copies != pictures).any(), name
        np.testing.assert_array_equal(copies, make(), err_msg=name)


def test_brightness_is_cut_off_at_white() -> None:
    white = np.full((1, 4, 4, 3), 200, np.uint8)

    assert (damage.of_pictures(white)["half brighter"]() == 255).all()
    assert (damage.of_pictures(white)["half as bright"]() == 100).all()


def test_a_turned_picture_has_no_empty_corner() -> None:
    white = np.full((20, 64, 64, 3), 255, np.uint8)

    assert (damage.of_pictures(white)["rotated by 15 degrees"]() == 255).all()


def test_typos_touch_about_one_letter_in_twenty() -> None:
    text = sample_texts.write("pos", np.random.default_rng(0)).encode() * 20
    damaged = damage.of_texts([text, text])["typos in 5 % of letters"]()

    assert damaged[0] != damaged[1]
    assert len(damaged[0]) == pytest.approx(len(text), rel=0.05)
    assert damaged == damage.of_texts([text, text])["typos in 5 % of letters"]()


def test_both_halves_make_the_whole_and_letters_stay_whole() -> None:
    text = "größer als je zuvor"
    halves = [damage.of_texts([text.encode()])[name]()[0].decode() for name in ("first half alone", "last half alone")]

    assert "".join(halves) == text
