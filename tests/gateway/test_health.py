"""Alive, ready, and what is missing."""

import http.client
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from serving.errors import Unavailable
from serving.gateway.config import GatewayConfig
from serving.gateway.health import EXIT_CODE, STUCK_S, Health, canned
from serving.gateway.upstream import ModelStatus, VersionState
from tests.gateway.caller import RED, Caller
from tests.gateway.classifiers import COLORS, MOODS, Classifiers, Failing, Gate
from tests.gateway.conftest import Serve
from tests.gateway.standstill import READY, STOPPING
from tests.processes import following
from tests.waiting import until


def ready(caller: Caller) -> bool:
    return caller.ask("/readyz").status == 200


class Loading(Classifiers):
    """Has a model on its way."""

    def models(self) -> list[ModelStatus]:
        return [*super().models(), ModelStatus("late", [VersionState(3, "LOADING"), VersionState(2, "END", 13, "bad")])]


def test_with_every_model_available_and_a_canned_answer_it_is_ready(serve: Serve) -> None:
    upstream = Classifiers(COLORS, MOODS, bare=("plain",))
    caller = serve(upstream)

    until(lambda: ready(caller))
    assert upstream.asked


def test_a_model_on_its_way_keeps_it_from_being_ready_and_is_named(serve: Serve) -> None:
    caller = serve(Loading(COLORS))
    until(lambda: "late: version 3 is LOADING" in caller.ask("/readyz").json["missing"])

    assert caller.ask("/readyz").status == 503
    assert caller.ask("/livez").status == 200


def test_a_configured_model_that_is_not_there_is_named(serve: Serve) -> None:
    caller = serve(Classifiers(COLORS), models=("unicorn",))

    until(lambda: any("unicorn" in sentence for sentence in caller.ask("/readyz").json["missing"]))


def test_nothing_to_serve_is_not_ready(serve: Serve) -> None:
    caller = serve(Classifiers())

    until(lambda: caller.ask("/readyz").json["missing"] == ["no model is being served"])


def test_a_canned_inference_that_fails_makes_it_unready_until_it_is_answered_again() -> None:
    upstream = Classifiers(COLORS)
    health = Health(GatewayConfig(), upstream)
    upstream.before_answer = Failing(Unavailable("the model server is away"))
    assert health.look() == ["the canned inference with colors failed: the model server is away"]

    upstream.before_answer = lambda: None
    assert health.look() == []


def test_canned_inferences_go_round_all_models() -> None:
    upstream = Classifiers(COLORS, MOODS, bare=("plain",))
    health = Health(GatewayConfig(), upstream)
    for _ in range(4):
        assert health.look() == []

    assert {model for model, _ in upstream.asked} == {"colors", "moods"}


@pytest.mark.parametrize("card", [COLORS, MOODS], ids=lambda card: card.name)
def test_the_canned_input_is_one_that_the_model_takes(card: object) -> None:
    assert card in (COLORS, MOODS)
    [array] = canned(COLORS if card is COLORS else MOODS).values()

    assert array.shape[0] == 1


def test_a_loop_that_stands_still_is_seen_from_outside_and_said_when_it_moves_again(serve: Serve) -> None:
    caller = serve(Classifiers(COLORS), stuck_exit_s=0)
    health = caller.gateway.services.health
    assert health.stuck() == []
    health._ticked_at -= STUCK_S + 1

    assert health.stuck() == ["the event loop does not move"]
    until(lambda: health.stuck() == [])
    assert caller.ask("/livez").status == 200


def test_workers_that_never_come_back_end_its_life(serve: Serve) -> None:
    upstream = Classifiers(COLORS)
    caller = serve(upstream, max_in_flight=1)
    gate = Gate()
    upstream.before_answer = gate
    with ThreadPoolExecutor(1) as callers:
        stuck = callers.submit(caller.classify, RED)
        assert gate.reached.wait(10)
        until(lambda: len(caller.gateway._front._working) == 1)
        assert caller.ask("/livez").status == 200
        for exchange in caller.gateway._front._working:
            exchange.deadline -= 1000
        answer = caller.ask("/livez")
        gate.open.set()
        stuck.result()

    assert (answer.status, answer.json["missing"]) == (503, ["every worker is stuck far past its deadline"])
    assert caller.ask("/livez").status == 200


def test_a_process_whose_loop_stands_still_fails_its_probe_says_where_and_ends_with_code_70(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.gateway.standstill"]
    with open(tmp_path / "stderr", "w+") as said, following(command, READY, stderr=said.fileno()) as (process, lines):
        address = lines[-1].removeprefix(READY)
        assert probe(address) == 200
        probe(address, STOPPING)
        assert probe(address, timeout_s=1) == 0
        code = process.wait(30)
        stacks = (tmp_path / "stderr").read_text()

    assert code == EXIT_CODE
    assert "the event loop has not moved" in stacks
    assert "stand_still" in stacks


def probe(address: str, request_id: str = "", timeout_s: float = 60) -> int:
    """The status of /livez, 0 where no answer comes."""
    connection = http.client.HTTPConnection(address, timeout=timeout_s)
    try:
        connection.request("GET", "/livez", headers={"X-Request-Id": request_id})
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


def test_strangers_who_ask_for_metrics_all_the_time_do_not_make_it_look_dead(serve: Serve) -> None:
    caller = serve(Classifiers(COLORS))
    gate = Gate()

    def late() -> float:
        gate()
        return 0.0

    caller.gateway.services.metrics.watch("gateway_late", "Comes late.", late)
    with ThreadPoolExecutor(64) as strangers:
        asked = [strangers.submit(caller.ask, "/metrics") for _ in range(64)]
        until(lambda: any(one.done() and one.result().status == 503 for one in asked))
        assert caller.ask("/livez").status == 200
        gate.open.set()
        assert {one.result().status for one in asked} == {200, 503}


def test_however_many_ask_at_once_whether_it_lives_all_are_answered(serve: Serve) -> None:
    caller = serve(Classifiers(COLORS))
    gate = Gate()

    def are_stuck() -> bool:
        gate()
        return False

    caller.gateway.services.health.workers_stuck = are_stuck
    with ThreadPoolExecutor(64) as strangers:
        asked = [strangers.submit(caller.ask, "/livez") for _ in range(64)]
        assert gate.reached.wait(10)
        gate.open.set()
        assert {one.result().status for one in asked} == {200}
