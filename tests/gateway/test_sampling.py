"""Samples for labeling: only where a folder is given, whole or not at all, and never too many."""

import json
import os
import stat
from pathlib import Path

import pytest

from serving.gateway.config import ConfigError, GatewayConfig
from serving.gateway.metrics import GatewayMetrics
from serving.gateway.sampling import MARK, Sampler
from tests.gateway.caller import GREEN, JSON, RED, Caller, form
from tests.gateway.classifiers import COLORS, MOODS, Classifiers
from tests.gateway.conftest import Serve
from tests.gateway.test_observing import samples
from tests.waiting import until

OLD = "20200101T000000.000000Z-00000000"


def kept(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def left_behind(folder: Path, name: str) -> Path:
    (folder / name).mkdir(parents=True)
    (folder / name / MARK).write_text("{}")
    return folder / name


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "samples"


@pytest.fixture
def caller(serve: Serve, folder: Path) -> Caller:
    return serve(Classifiers(COLORS, MOODS), sample_folder=folder, sample_share=1.0)


def test_a_picture_is_kept_with_what_was_said_of_it(caller: Caller, folder: Path) -> None:
    answer = caller.classify(RED)
    until(lambda: len(kept(folder)) == 1)
    (sample,) = kept(folder)

    said = json.loads((sample / MARK).read_bytes())
    assert (sample / "0.jpg").read_bytes() == RED
    assert (said["model"], said["version"], said["request_id"]) == ("colors", 1, answer.json["request_id"])
    assert said["items"] == [{"file": "0.jpg", **answer.json["predictions"][0]}]


def test_texts_and_the_good_ones_of_several_pictures_are_kept(caller: Caller, folder: Path) -> None:
    caller.ask("/v1/models/moods/classify", json.dumps({"instances": ["a good day", "rain"]}), JSON)
    until(lambda: len(kept(folder)) == 1)
    body, headers = form(("a", "image/jpeg", b"junk"), ("b", "image/jpeg", GREEN))
    caller.ask("/v1/models/colors/classify?partial=true", body, headers)
    until(lambda: len(kept(folder)) == 2)

    texts, pictures = kept(folder)
    assert [(texts / name).read_text() for name in ("0.txt", "1.txt")] == ["a good day", "rain"]
    assert sorted(path.name for path in pictures.iterdir()) == ["1.jpg", MARK]


def test_only_the_owner_may_read_them(caller: Caller, folder: Path) -> None:
    caller.classify(RED)
    until(lambda: len(kept(folder)) == 1)

    paths = [folder, *kept(folder), *kept(folder)[0].iterdir()]
    assert not any(stat.S_IMODE(path.stat().st_mode) & 0o077 for path in paths)


def test_what_is_refused_is_not_kept(caller: Caller, folder: Path) -> None:
    assert caller.classify(b"no picture").status == 400
    assert caller.classify(RED).status == 200
    until(lambda: len(kept(folder)) == 1)


def test_the_model_s_document_names_the_folder_only_where_there_is_one(
    caller: Caller, gateway: Caller, folder: Path
) -> None:
    assert caller.ask("/v1/models/colors").json["sampling"]["folder"] == str(folder)
    assert gateway.ask("/v1/models/colors").json["sampling"] is None


def test_a_share_of_nothing_keeps_nothing(serve: Serve, folder: Path) -> None:
    caller = serve(Classifiers(COLORS), sample_folder=folder, sample_share=0.0)
    for _ in range(10):
        caller.classify(RED)
    caller.gateway.stop()

    assert kept(folder) == []


def test_the_oldest_go_when_there_are_too_many_bytes(serve: Serve, folder: Path) -> None:
    caller = serve(Classifiers(COLORS), sample_folder=folder, sample_share=1.0, sample_max_bytes=3 * len(RED) + 1500)
    for _ in range(8):
        caller.classify(RED)
    until(lambda: samples(caller, "gateway_samples_total").get(frozenset(["kept"])) == 8)

    assert sum(path.stat().st_size for path in folder.rglob("*.*") if path.is_file()) <= 3 * len(RED) + 1500
    assert samples(caller, "gateway_samples_total")[frozenset(["removed"])] == 8 - len(kept(folder)) > 0


def test_what_is_too_old_or_half_written_goes_at_the_start_and_what_is_not_ours_stays(
    serve: Serve, folder: Path
) -> None:
    old, young = left_behind(folder, OLD), left_behind(folder, "29990101T000000.000000Z-00000000")
    half, strange = left_behind(folder, f".{OLD}.tmp"), left_behind(folder, "notes")
    serve(Classifiers(COLORS), sample_folder=folder)

    assert [path.exists() for path in (old, young, half, strange)] == [False, True, False, True]


def test_a_folder_that_is_taken_away_harms_no_caller(caller: Caller, folder: Path) -> None:
    folder.rmdir()
    assert caller.classify(RED).status == 200
    until(lambda: samples(caller, "gateway_samples_total").get(frozenset(["failed"])) == 1)
    folder.mkdir()
    assert caller.classify(RED).status == 200
    until(lambda: len(kept(folder)) == 1)


def test_a_folder_that_cannot_be_had_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="samples cannot be kept"):
        Sampler(tmp_path / "file" / "samples", GatewayConfig(), GatewayMetrics())
    if os.geteuid() != 0:
        (tmp_path / "closed").mkdir(mode=0o500)
        with pytest.raises(ConfigError, match="cannot be written"):
            Sampler(tmp_path / "closed", GatewayConfig(), GatewayMetrics())


@pytest.mark.parametrize("given", [{"sample_share": 1.5}, {"sample_max_days": 0}, {"sample_max_bytes": 0}])
def test_limits_that_cannot_be_are_refused(given: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="sample_"):
        GatewayConfig(**given)  # type: ignore[arg-type]
