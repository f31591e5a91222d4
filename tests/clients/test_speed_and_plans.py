"""`bench`, `plan` and the rates of `status --watch`: the loop, the formula, the counters."""

import _thread
import json
import math
import socket
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from clients import HttpClient, plan, rates, screen
from clients.__main__ import main
from clients.closed_loop import Tally, histogram, run
from serving.errors import BadInput, Overloaded
from tests.clients.conftest import Servers
from tests.clients.scripted import reply, serving

FACTS = {"machine": "a machine", "when": "2026-01-31T12:00:00+00:00", "model": "a model"} | {
    "gateway_cpu_ms": 2.0,
    "modelserver_cpu_ms": 8.0,
    "embedded_cpu_ms": 9.0,
}


def command(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_a_closed_loop_counts_answers_and_refusals_of_every_caller() -> None:
    def ask(number: int) -> None:
        time.sleep(0.001)
        if number % 4 == 0:
            raise Overloaded("busy")

    seen: list[Tally] = []
    tally = run(ask, 4, 0.3, seen.append)

    assert len(tally.latencies_s) > 3
    assert set(tally.failures) == {"Overloaded: busy"}
    assert tally.per_second == pytest.approx(len(tally.latencies_s) / tally.seconds)
    assert seen


def test_a_histogram_has_every_answer_in_one_line() -> None:
    latencies = [0.001 * (1 + number % 10) for number in range(500)] + [5.0]
    lines = histogram(latencies)

    assert sum(int(line.rsplit(" ", 1)[1]) for line in lines) == 501
    assert lines[-1].split(" ms")[0].endswith("5000.0")
    assert histogram([]) == []
    assert sum(int(line.rsplit(" ", 1)[1]) for line in histogram([0.002] * 7)) == 7


def test_bench_shows_rate_latencies_and_their_histogram(servers: Servers, photos: Path) -> None:
    done = command("bench", photos, "--url", servers.gateway, "--seconds", 0.4, "--callers", 2)

    assert done.exit_code == 0, done.output
    assert "answers/s by 2 callers" in done.stdout
    assert "p99" in done.stdout
    assert "█" in done.stdout


def test_bench_takes_texts_too_and_says_what_failed(servers: Servers) -> None:
    good = command("bench", "--text", "good", "--grpc", servers.grpc, "--model", "tiny_text", "--seconds", 0.2)
    bad = command("bench", "--text", "good", "--url", servers.gateway, "--model", "unicorn", "--seconds", 0.2)

    assert good.exit_code == 0, good.output
    assert bad.exit_code == 1
    assert "NotFound" in bad.stdout
    assert command("bench").exit_code == 2


@pytest.mark.parametrize(
    ("cores", "load", "waits"),
    [(1, 0.5, 0.5), (2, 1.0, 1 / 3), (3, 2.0, 4 / 9), (1, 0.9, 0.9)],
)
def test_erlangs_formula_gives_the_values_of_the_textbooks(cores: int, load: float, waits: float) -> None:
    assert plan.erlang_c(cores, load) == pytest.approx(waits)


def test_a_wait_is_the_exact_quantile_of_one_server() -> None:
    assert plan.wait_p99_ms(1, 0.5, 10) == pytest.approx(10 * math.log(50) / 0.5)
    assert plan.wait_p99_ms(100, 1.0, 10) == 0


def test_a_plan_bears_its_load_with_a_zone_lost() -> None:
    found = plan.plan(1000, 250, FACTS)

    for tier in found.tiers:
        load = 1000 * tier.cpu_ms / 1000
        assert tier.replicas % plan.ZONES == 0
        assert tier.replicas * plan.CORES_EACH * 2 / 3 >= load / plan.BUSY
    assert found.p99_ms <= 250
    assert plan.plan(2000, 250, FACTS).tiers[1].replicas > found.tiers[1].replicas
    assert [tier.name for tier in plan.plan(10, 250, FACTS, embedded=True).tiers] == ["gateway with embedded server"]


def test_a_tighter_bound_never_needs_fewer_cores() -> None:
    bounds = (21, 25, 40, 100, 1000)
    cores = [sum(tier.cores for tier in plan.plan(300, bound, FACTS).tiers) for bound in bounds]

    assert cores == sorted(cores, reverse=True)


def test_a_bound_that_no_fleet_keeps_is_refused_with_the_reason() -> None:
    with pytest.raises(BadInput, match="nobody else there"):
        plan.plan(1, 19, FACTS)


def test_plan_prints_the_fleet_and_what_it_assumes() -> None:
    done = command("plan", "--photos-per-second", 500, "--p99", 250)

    assert done.exit_code == 0, done.output
    assert "model server" in done.stdout
    assert "Poisson" in done.stdout
    assert command("plan", "--photos-per-second", 500, "--p99", 1).exit_code == 2


def test_the_committed_facts_are_whole() -> None:
    facts = json.loads(plan.FACTS.read_text())

    assert set(FACTS) <= set(facts)
    assert all(facts[name] > 0 for name in ("gateway_cpu_ms", "modelserver_cpu_ms", "embedded_cpu_ms"))


def test_missing_facts_are_refused_with_the_command_that_makes_them(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="make bench numbers"):
        plan.facts(tmp_path / "facts.json")


def test_rates_are_what_lies_between_two_looks_at_a_running_gateway(servers: Servers) -> None:
    with HttpClient(servers.gateway) as client:
        client.review(["good"], "tiny_text")
        first = rates.read(client.metrics())
        for text in ("good", "bad", "fine"):
            client.review([text], "tiny_text")
        list(client.review_each(["x" * 200_000], "tiny_text"))
        second = rates.read(client.metrics())
        found = rates.between(first, second)
        took = second.at_s - first.at_s
        shown = Console(width=150, record=True)
        shown.print(screen.states(client.status(), "now", found))

    assert found["tiny_text", "1"].per_second * took == pytest.approx(4, abs=1)
    assert found["tiny_text", "1"].mean_ms > 0
    assert "requests/s" in shown.export_text()


def test_watching_goes_on_while_a_gateway_has_no_metrics_to_give() -> None:
    models = {"models": [{"name": "shown", "versions": [{"version": 1, "state": "AVAILABLE"}]}]}

    def script(connection: socket.socket, head: bytes) -> bool:
        if b"/metrics" in head:
            connection.sendall(reply("no counters", "500 Internal Server Error"))
            return True
        if sum("/metrics" in each for each in gateway.heads) == 2:
            _thread.interrupt_main()  # as Ctrl-C does
        connection.sendall(reply(json.dumps(models)))
        return True

    with serving(script) as gateway:
        done = command("status", "--url", gateway.url, "--watch", "--every", 0.1, "--timeout", 5)

    assert done.exit_code == 0, done.output
    assert "shown" in done.stdout


def test_a_gateway_that_was_started_anew_counts_from_nothing() -> None:
    before = rates.Look(0.0, {("m", "1"): 100.0}, {}, {("m", "1"): 5.0}, {("m", "1"): 100.0})
    after = rates.Look(2.0, {("m", "1"): 10.0}, {}, {("m", "1"): 0.5}, {("m", "1"): 10.0})

    assert rates.between(before, after)["m", "1"] == rates.Rates(5.0, 0.0, 50.0)


def test_what_is_no_metric_is_passed_over() -> None:
    assert not rates.read('# HELP x\nnonsense\n<html>\nother_total{model="m"} 3').requests
