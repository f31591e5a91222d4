"""Canary and shadow: who meets which version, and that nobody pays for it."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from serving.card import ImageInput
from serving.errors import Unavailable
from serving.gateway import watched_file
from serving.gateway.config import ConfigError
from serving.gateway.routing import Rule, place, read
from tests.gateway.caller import GREEN, RED, Caller
from tests.gateway.classifiers import COLORS, MOODS, Classifiers, Failing, Gate
from tests.gateway.conftest import Serve
from tests.gateway.test_observing import samples
from tests.waiting import until

NEWEST, CANARY = 2, 1


@pytest.fixture
def colors() -> Classifiers:
    """Version 2 is the newest, version 1 has the label canary."""
    found = Classifiers(COLORS, MOODS)
    found.publish(COLORS, NEWEST)
    found.labels = {"colors": {"canary": CANARY}}
    return found


@pytest.fixture
def rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(watched_file, "LOOK_AGAIN_S", 0.05)
    path = tmp_path / "routing.toml"
    path.write_text("[models.colors]\ncanary = 0.5\n")
    return path


def version(caller: Caller, key: str = "", query: str = "") -> int:
    answer = caller.classify(RED, query, **({"X-Request-Key": key} if key else {}))
    assert answer.status == 200
    return int(answer.json["version"])


def shadowed(caller: Caller) -> dict[frozenset[str], float]:
    return samples(caller, "gateway_shadow_items_total")


def test_a_key_always_meets_the_same_version_and_keys_are_spread(
    serve: Serve, colors: Classifiers, rules: Path
) -> None:
    caller = serve(colors, routing=rules)
    met = {key: version(caller, key) for key in map(str, range(60))}

    assert all(version(caller, key) == number for key, number in met.items())
    assert 15 <= sum(number == CANARY for number in met.values()) <= 45
    sides = samples(caller, "gateway_canary_requests_total")
    assert sides[frozenset(["colors", "canary"])] == 2 * sum(number == CANARY for number in met.values())


def test_without_a_key_the_share_is_kept_request_by_request(serve: Serve, colors: Classifiers, rules: Path) -> None:
    caller = serve(colors, routing=rules)

    assert {version(caller) for _ in range(40)} == {NEWEST, CANARY}


def test_whoever_is_with_the_canary_stays_when_its_share_grows() -> None:
    places = [place("colors", str(key)) for key in range(1000)]

    assert all(0 <= found < 1 for found in places)
    assert 60 <= sum(found < 0.1 for found in places) <= 140
    assert places != [place("moods", str(key)) for key in range(1000)]


@pytest.mark.parametrize(("query", "found"), [("?version=2", NEWEST), ("?version=1", 1), ("?label=canary", CANARY)])
def test_whoever_names_a_version_or_label_gets_it(
    serve: Serve, colors: Classifiers, rules: Path, query: str, found: int
) -> None:
    rules.write_text("[models.colors]\ncanary = 1\n")

    assert version(serve(colors, routing=rules), query=query) == found


def test_a_canary_that_is_not_there_is_an_error_only_for_whoever_asks_for_it(
    serve: Serve, colors: Classifiers, rules: Path
) -> None:
    rules.write_text("[models.colors]\ncanary = 1.0\n")
    colors.labels = {}
    caller = serve(colors, routing=rules)

    assert version(caller) == NEWEST
    assert samples(caller, "gateway_canary_requests_total") == {frozenset(["colors", "absent"]): 1}
    assert caller.classify(RED, "?label=canary").status == 404


def test_a_canary_that_is_retired_while_it_is_asked_leaves_the_answer_to_the_newest(
    serve: Serve, colors: Classifiers, rules: Path
) -> None:
    rules.write_text("[models.colors]\ncanary = 1\n")
    caller = serve(colors, routing=rules)
    original = colors.predict

    def retiring(model: str, number: int, *rest: object) -> object:
        if number == CANARY and (model, number) in colors.cards:
            colors.retire(model, number)
            colors.labels = {}
        return original(model, number, *rest)  # type: ignore[arg-type]

    colors.predict = retiring  # type: ignore[assignment, method-assign]
    assert version(caller) == NEWEST


def test_changed_rules_are_in_force_without_a_restart_and_broken_ones_never(
    serve: Serve, colors: Classifiers, rules: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caller = serve(colors, routing=rules)
    rules.write_text("[models.colors]\ncanary = 1\n")
    until(lambda: {version(caller) for _ in range(8)} == {CANARY})
    with caplog.at_level(logging.WARNING):
        rules.write_text("[models.colors]\ncanary = 2\n")
        until(lambda: version(caller) == CANARY and b"gateway_routing_file_broken 1.0" in caller.ask("/metrics").body)
        rules.unlink()
        assert {version(caller) for _ in range(8)} == {CANARY}
    assert sum("must be a share" in record.message for record in caplog.records) == 1

    rules.write_text("")
    until(lambda: {version(caller) for _ in range(8)} == {NEWEST})
    assert b"gateway_routing_file_broken 0.0" in caller.ask("/metrics").body


def test_a_mounted_folder_that_is_swapped_as_kubernetes_does_is_noticed(
    serve: Serve, colors: Classifiers, tmp_path: Path
) -> None:
    for name, share in (("first", 0), ("second", 1)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "routing.toml").write_text(f"[models.colors]\ncanary = {share}\n")
    (tmp_path / "data").symlink_to("first")
    (tmp_path / "routing.toml").symlink_to("data/routing.toml")
    caller = serve(colors, routing=tmp_path / "routing.toml")
    assert {version(caller) for _ in range(8)} == {NEWEST}

    (tmp_path / "data.new").symlink_to("second")
    (tmp_path / "data.new").rename(tmp_path / "data")
    until(lambda: {version(caller) for _ in range(8)} == {CANARY})


def test_a_shadow_gets_a_copy_and_agreement_is_counted(serve: Serve, colors: Classifiers, rules: Path) -> None:
    rules.write_text("[models.colors]\nshadow = 1\n")
    caller = serve(colors, routing=rules)
    for data in (RED, GREEN):
        assert caller.classify(data).json["version"] == NEWEST

    until(lambda: shadowed(caller) == {frozenset(["colors", "1", "agreed"]): 2})
    assert sorted(colors.asked[-4:]) == [("colors", 1)] * 2 + [("colors", 2)] * 2


def test_a_shadow_with_another_preparation_and_other_answers_is_told_apart(
    serve: Serve, colors: Classifiers, rules: Path
) -> None:
    rules.write_text('[models.colors]\nshadow = "next"\n')
    colors.labels["colors"]["next"] = 1
    colors.cards["colors", 1] = replace(COLORS, labels=("green", "red", "blue"), input=ImageInput(height=8, width=8))
    caller = serve(colors, routing=rules)
    caller.classify(RED)

    until(lambda: shadowed(caller) == {frozenset(["colors", "1", "disagreed"]): 1})


def test_a_shadow_that_fails_or_is_not_there_harms_nobody(serve: Serve, colors: Classifiers, rules: Path) -> None:
    rules.write_text('[models.colors]\nshadow = "nobody"\n[models.moods]\nshadow = 2\n')
    colors.publish(MOODS, 2)
    caller = serve(colors, routing=rules)
    assert caller.classify(RED).status == 200
    until(lambda: shadowed(caller) == {frozenset(["colors", "", "failed"]): 1})

    answer = caller.classify("good", "?version=1", model="moods")
    assert answer.labels == ["good"]
    until(lambda: frozenset(["moods", "2", "agreed"]) in shadowed(caller))
    colors.before_answer = Failing(Unavailable("gone"))
    assert caller.classify("good", "?version=1", model="moods").status == 503


def test_a_shadow_that_hangs_holds_up_nobody_and_copies_are_dropped(
    serve: Serve, colors: Classifiers, rules: Path
) -> None:
    rules.write_text("[models.colors]\nshadow = 1\n")
    gate, original = Gate(), colors.predict

    def slow_shadow(model: str, number: int, *rest: object) -> object:
        if number == 1:
            gate()
        return original(model, number, *rest)  # type: ignore[arg-type]

    colors.predict = slow_shadow  # type: ignore[assignment, method-assign]
    caller = serve(colors, routing=rules)
    for _ in range(40):
        assert caller.classify(RED).status == 200
    until(lambda: shadowed(caller).get(frozenset(["colors", "", "dropped"]), 0) >= 5)
    gate.open.set()


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("canary = 1", "models.NAME"),
        ("models = 3", "models.NAME"),
        ("[models.a]\ncanary = 1.5", "models.a"),
        ("[models.a]\ncanary = true", "models.a"),
        ("[models.a]\ncanary = nan", "models.a"),
        ("[models.a]\nweight = 1", "shadow_share"),
        ("[models.a]\nshadow = 1.5", "shadow"),
        ("[models]\na = 1", "models.a"),
        ("[models.a", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_meant_stops_the_start(tmp_path: Path, text: str, word: str) -> None:
    (tmp_path / "routing.toml").write_text(text)

    with pytest.raises(ConfigError, match=word):
        read(tmp_path / "routing.toml")


def test_the_file_is_read_as_it_says(tmp_path: Path) -> None:
    path = tmp_path / "routing.toml"
    path.write_text('[models.a]\ncanary = 0.05\n[models."b c"]\nshadow = "next"\nshadow_share = 0.1\n')

    assert read(path) == {"a": Rule(canary=0.05), "b c": Rule(shadow="next", shadow_share=0.1)}
