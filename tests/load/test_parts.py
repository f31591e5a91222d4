"""What is sent, shapes and objectives: the parts of the load tests that need no server."""

import io
from pathlib import Path

import pytest
from PIL import Image

from tests.load import mix, objectives, shapes
from tests.load.record import KindFigures, Record, SpellFigures


def test_the_same_seed_sends_the_same_photos_and_another_one_does_not() -> None:
    first, again, other = (mix.photos(None, seed, 40) for seed in (1, 1, 2))

    assert first == again
    assert [photo.body for photo in first] != [photo.body for photo in other]


def test_photos_are_of_many_sizes_and_formats_and_two_in_a_hundred_are_broken() -> None:
    photos = mix.photos(None, 1, 200)
    good = [photo for photo in photos if not photo.broken]

    assert len(photos) - len(good) == 4
    assert {photo.kind for photo in good} == {"image/jpeg", "image/png", "image/webp", "image/gif"}
    assert len({Image.open(io.BytesIO(photo.body)).size for photo in good}) > 10


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_broken_photo_cannot_be_read(number: int) -> None:
    broken = [photo for photo in mix.photos(None, 1, 150) if photo.broken]

    with pytest.raises((OSError, SyntaxError)):
        Image.open(io.BytesIO(broken[number].body)).load()


def test_real_photos_are_taken_where_a_folder_is_given(shared_data: Path) -> None:
    photos = mix.photos(shared_data / "cats_vs_dogs" / "test", 1, 20)

    assert sum(photo.kind == "image/jpeg" for photo in photos) > 10


def test_a_folder_without_photos_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no \.jpg files"):
        mix.photos(tmp_path, 1)


@pytest.mark.parametrize("name", shapes.NAMES)
def test_a_shape_lasts_as_long_as_told_and_is_judged_only_up_to_its_share(name: str) -> None:
    plan = shapes.stages(name, 200)

    assert sum(stage.seconds for stage in plan) == pytest.approx(200)
    assert all(stage.share <= 0.4 for stage in plan if stage.judged)
    assert any(stage.judged for stage in plan)


def test_a_moment_of_a_shape_is_in_one_stage_and_after_the_last_in_none() -> None:
    plan = shapes.stages("spike", 100)

    assert [shapes.at(plan, second) for second in (0, 36, 51, 99, 100.1)] == [*plan, None]


def spell(failed: int, p99_ms: float) -> SpellFigures:
    photos = KindFigures(1000, failed, 100, 5, 10, p99_ms, 2 * p99_ms, {"200": 1000 - failed, "503": failed})
    return SpellFigures(10, {"photos": photos}, 0.2)


def test_the_worst_judged_spell_decides() -> None:
    found = objectives.judged([spell(0, 300), spell(2, 100)], {"photos": 250}, 0.001)

    assert {verdict.objective: (verdict.measured, verdict.met) for verdict in found} == {
        "photos: error ratio": (0.002, False),
        "photos: p99 ms": (300, False),
    }
    assert all(verdict.met for verdict in objectives.judged([spell(1, 250)], {"photos": 250}, 0.001))


def test_a_kind_that_was_asked_and_never_answered_has_missed_its_objective() -> None:
    found = objectives.judged([spell(0, 100)], {"photos": 250, "predict": 250}, 0.001, ["photos", "predict"])

    assert {verdict.objective: verdict.met for verdict in found} == {
        "photos: error ratio": True,
        "photos: p99 ms": True,
        "predict: error ratio": False,
    }


def test_an_objective_of_an_unknown_kind_is_refused() -> None:
    assert objectives.bounds(["photos=10"])["photos"] == 10
    with pytest.raises(ValueError, match="KIND=MILLISECONDS"):
        objectives.bounds(["unicorns=3"])


def test_a_record_keeps_latencies_exactly_and_counts_codes() -> None:
    record = Record()
    for number in range(100):
        record.add("photos", 1.234 + number, "503" if number == 0 else "200", failed=number == 0)
    found = record.figures().kinds["photos"]

    assert (found.requests, found.failed, dict(found.codes)) == (100, 1, {"503": 1, "200": 99})
    assert found.slowest_ms == 100.234
    assert found.error_ratio == 0.01
