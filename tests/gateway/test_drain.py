"""Stopping: what is in flight is answered, nothing new comes in, and the process leaves with 0."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Thread

import pytest

from serving.gateway.config import GatewayConfig
from serving.gateway.server import Gateway
from tests.gateway.caller import RED, Caller
from tests.gateway.classifiers import COLORS, Classifiers, Gate


def test_what_is_in_flight_is_answered_and_new_connections_are_refused() -> None:
    upstream = Classifiers(COLORS)
    gateway = Gateway(GatewayConfig(port=0, access_log=False), upstream).start()
    caller, gate = Caller(gateway), Gate()
    upstream.before_answer = gate
    finished: list[bool] = []
    with ThreadPoolExecutor(1) as callers:
        answer = callers.submit(caller.classify, RED)
        assert gate.reached.wait(10)
        stopping = Thread(target=lambda: finished.append(gateway.stop(grace_s=20)))
        stopping.start()
        while True:
            try:
                caller.connect().close()
            except ConnectionError:
                break
        gate.open.set()
        assert answer.result().labels == ["red"]
    stopping.join()
    assert finished == [True]
    assert gateway.grace_left_s > 0


def test_while_draining_readiness_is_off_and_connections_are_asked_to_close() -> None:
    gateway = Gateway(GatewayConfig(port=0, access_log=False, drain_delay_s=5.0), Classifiers(COLORS)).start()
    caller = Caller(gateway)
    stopping = Thread(target=gateway.stop)
    stopping.start()
    while not gateway.services.health.draining:
        pass
    readiness, answer = caller.ask("/readyz"), caller.classify(RED)
    gateway._over.set()
    stopping.join()

    assert (readiness.status, readiness.json["missing"]) == (503, ["the server is shutting down"])
    assert (answer.status, answer.headers["connection"]) == (200, "close")


def test_work_that_never_ends_is_left_behind_after_the_grace_time() -> None:
    upstream = Classifiers(COLORS)
    gateway = Gateway(GatewayConfig(port=0, access_log=False), upstream).start()
    gate = Gate()
    upstream.before_answer = gate
    with ThreadPoolExecutor(1) as callers:
        answer = callers.submit(Caller(gateway).classify, RED)
        assert gate.reached.wait(10)
        assert gateway.stop(grace_s=1) is False
        assert gateway.grace_left_s == 0
        gate.open.set()
        told = answer.result()
    assert (told.status, told.headers["content-type"]) == (503, "application/problem+json")
    assert "retry-after" in told.headers


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_process_leaves_with_zero_on_a_signal(number: signal.Signals) -> None:
    command = [sys.executable, "-m", "serving.gateway", "--port", "0", "--upstream", "127.0.0.1:1"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "gateway on http://127.0.0.1:" in process.stderr.readline()
        process.send_signal(number)
        assert process.wait(20) == 0


def test_a_setting_that_cannot_work_is_one_sentence_and_exit_code_2() -> None:
    environment = os.environ | {"GATEWAY_MAX_ITEMS": "none"}
    command = [sys.executable, "-m", "serving.gateway"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=30, check=False)

    assert done.returncode == 2
    assert done.stderr == "serving.gateway: max_items must be int, got 'none'\n"


def test_a_port_that_is_taken_is_one_sentence_and_exit_code_2(gateway: Caller) -> None:
    command = [sys.executable, "-m", "serving.gateway", "--port", str(gateway.gateway.port)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)

    assert done.returncode == 2
    assert "cannot listen" in done.stderr
