"""API keys: who may ask, what, and how often."""

import hashlib
import os
from pathlib import Path

import pytest

from serving.errors import RateLimited, Unauthenticated
from serving.gateway.auth import Keys
from serving.gateway.config import ConfigError, GatewayConfig
from tests.gateway.caller import RED, Caller
from tests.gateway.classifiers import COLORS, MOODS, Classifiers
from tests.gateway.conftest import Serve


def line(name: str, secret: str, *options: str) -> str:
    return " ".join([name, hashlib.sha256(secret.encode()).hexdigest(), *options])


def bearing(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


@pytest.fixture
def keys_file(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.write_text(
        "# who may ask\n"
        + "\n".join([line("ann", "a-secret"), line("bob", "b-secret", "rate=1"), line("cyd", "c", "models=moods")])
    )
    return path


@pytest.fixture
def guarded(serve: Serve, keys_file: Path) -> Caller:
    return serve(Classifiers(COLORS, MOODS), api_keys=keys_file)


def test_a_known_key_is_let_in(guarded: Caller) -> None:
    assert guarded.classify(RED, **bearing("a-secret")).status == 200


@pytest.mark.parametrize("headers", [{}, bearing("wrong"), bearing(""), {"Authorization": "Basic YTpi"}])
def test_no_key_or_an_unknown_one_is_a_401_that_says_how(guarded: Caller, headers: dict[str, str]) -> None:
    answer = guarded.classify(RED, **headers)

    assert (answer.status, answer.headers["www-authenticate"]) == (401, 'Bearer realm="models"')
    assert "Authorization: Bearer" in answer.json["detail"]


def test_the_listing_wants_a_key_too(guarded: Caller) -> None:
    assert guarded.ask("/v1/models").status == 401
    assert guarded.ask("/v1/models", headers=bearing("a-secret")).status == 200


@pytest.mark.parametrize("path", ["/livez", "/metrics"])
def test_probes_and_metrics_want_none(guarded: Caller, path: str) -> None:
    assert guarded.ask(path).status == 200


def test_a_key_for_other_models_is_a_403(guarded: Caller) -> None:
    assert guarded.classify(RED, **bearing("c")).status == 403
    assert guarded.classify("good", model="moods", **bearing("c")).status == 200


def test_a_key_for_some_models_is_shown_no_others(guarded: Caller) -> None:
    def listed(secret: str) -> list[str]:
        return [entry["name"] for entry in guarded.ask("/v1/models", headers=bearing(secret)).json["models"]]

    assert listed("a-secret") == ["colors", "moods"]
    assert listed("c") == ["moods"]
    assert guarded.ask("/v1/models/colors", headers=bearing("c")).status == 403
    assert guarded.ask("/v1/models/moods", headers=bearing("c")).status == 200


def test_a_key_over_its_rate_is_a_429_with_retry_after(guarded: Caller) -> None:
    answers = [guarded.classify(RED, **bearing("b-secret")) for _ in range(5)]

    assert answers[0].status == 200
    refused = [answer for answer in answers if answer.status == 429]
    assert refused
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
    assert guarded.classify(RED, **bearing("a-secret")).status == 200


@pytest.mark.parametrize("slash", [b"/", b"//", b"/%2f"])
def test_an_unknown_caller_is_refused_before_the_body_is_read(guarded: Caller, slash: bytes) -> None:
    with guarded.connect() as connection:
        path = slash + b"v1/models/colors/classify"
        connection.sendall(b"POST " + path + b" HTTP/1.1\r\nHost: g\r\nContent-Length: 5000\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 401")


def look_again(keys: Keys) -> None:
    assert keys._file is not None
    keys._file.look_at = 0


def test_a_changed_file_is_in_force_soon_and_a_broken_one_never(keys_file: Path) -> None:
    keys = Keys(keys_file)
    keys_file.write_text(line("dan", "d-secret"))
    look_again(keys)
    assert keys.check("Bearer d-secret") == "dan"
    with pytest.raises(Unauthenticated):
        keys.check("Bearer a-secret")

    keys_file.write_text("broken")
    os.utime(keys_file, ns=(1, 1))
    look_again(keys)
    assert keys.check("Bearer d-secret") == "dan"


def test_a_removed_file_leaves_the_keys_in_force(keys_file: Path) -> None:
    keys = Keys(keys_file)
    keys_file.unlink()
    look_again(keys)

    assert keys.check("Bearer a-secret") == "ann"


@pytest.mark.parametrize(
    "text",
    ["ann", "ann 00", f"ann {'0' * 64} rate=fast", f"ann {'0' * 64} rate=0", f"ann {'0' * 64} rate=nan", "a b c d"],
)
def test_a_broken_line_stops_the_start_and_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "keys").write_text(f"# fine\n{text}\n")

    with pytest.raises(ConfigError, match="line 2"):
        Keys(tmp_path / "keys")


def test_a_missing_file_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no file"):
        GatewayConfig(api_keys=tmp_path / "none")


def test_a_key_may_use_a_seconds_worth_at_once_and_then_is_told_when_to_come(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(line("fay", "f", "rate=2"))
    keys = Keys(tmp_path / "keys")
    assert [keys.check("Bearer f") for _ in range(2)] == ["fay", "fay"]
    refused = [refusal(keys, "f") for _ in range(30)]

    assert any(refused)
    assert all(0 < error.retry_after_s <= 0.5 for error in refused if error and error.retry_after_s is not None)


def refusal(keys: Keys, secret: str) -> RateLimited | None:
    try:
        keys.check(f"Bearer {secret}")
    except RateLimited as error:
        return error
    return None


def test_a_refusal_costs_no_allowance(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(line("eve", "e", "rate=20"))
    keys = Keys(tmp_path / "keys")
    while refusal(keys, "e") is None:
        pass
    for _ in range(200):
        refusal(keys, "e")
    error = refusal(keys, "e")

    assert error is None or (error.retry_after_s or 0) <= 0.05


def test_a_new_rate_in_the_file_holds_at_once(keys_file: Path) -> None:
    keys = Keys(keys_file)
    keys.check("Bearer b-secret")
    assert refusal(keys, "b-secret") is not None
    keys_file.write_text(line("bob", "b-secret", "rate=1000"))
    look_again(keys)

    assert refusal(keys, "b-secret") is None


def test_a_slow_key_still_gets_one_request_at_a_time(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(line("eve", "e", "rate=0.1"))
    keys = Keys(tmp_path / "keys")
    keys.check("Bearer e")

    with pytest.raises(RateLimited) as refused:
        keys.check("Bearer e")
    assert refused.value.retry_after_s == pytest.approx(10, abs=0.5)
