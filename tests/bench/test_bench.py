"""The benchmarks measure what they say they do."""

import hashlib
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from tests.bench import bodies, swaps
from tests.bench.asks import GrpcAsk, HttpAsk
from tests.bench.load import Answered, Paced, closed_loop
from tests.bench.loops import spell
from tests.bench.rounds import alternate
from tests.bench.servers import modelserver
from tests.processes import cpu_s


class Moody(BaseHTTPRequestHandler):
    """Every third answer is a refusal."""

    protocol_version = "HTTP/1.1"
    asked = 0

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        Moody.asked += 1
        self.send_response(503 if Moody.asked % 3 == 0 else 200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


def test_a_refusal_counts_as_failed_and_not_as_answered() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Moody) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        ask = HttpAsk(f"127.0.0.1:{server.server_port}", "/", "text/plain", [b"one", b"two"])
        before = Moody.asked
        found = closed_loop([ask], 1, 0.3, warmup_s=0.0)
        ask.close()
        server.shutdown()

    asked = Moody.asked - before
    assert found.requests + found.failed == asked
    assert found.failed in (asked // 3, asked // 3 + 1)
    assert len(found.latencies_s) == found.requests


def test_a_server_that_is_not_there_is_all_failures() -> None:
    found = closed_loop([HttpAsk("127.0.0.1:9", "/", "text/plain", [b"x"])], 1, 0.05, warmup_s=0.0)

    assert found.requests == 0
    assert found.failed > 0


def test_the_cpu_of_another_process_is_seen_and_ours_is_not_counted_as_its(saved_models: Path) -> None:
    with modelserver(saved_models, ("half_plus_two",)) as server:
        ask = GrpcAsk(server.grpc, "half_plus_two", [np.ones(4, np.float32)], alias="x")
        busy = closed_loop([ask], server.pid, 0.3, warmup_s=0.1)
        ask.close()
        before, own = cpu_s(server.pid), time.process_time()
        hashlib.pbkdf2_hmac("sha256", b"busy", b"here", 300_000)
        idle, own = cpu_s(server.pid) - before, time.process_time() - own

    assert busy.requests > 0
    assert busy.failed == 0
    assert busy.server_cpu_s > 0
    assert idle < own


def test_the_clock_of_a_process_is_the_kernels_own() -> None:
    hashlib.pbkdf2_hmac("sha256", b"busy", b"here", 100_000)

    assert cpu_s(os.getpid()) == pytest.approx(time.process_time(), abs=0.05)


def test_a_loop_counts_every_turn_of_every_thread() -> None:
    counts = [0, 0]

    def turn(place: int) -> None:
        counts[place] += 1
        time.sleep(0.001)

    found = spell([lambda: turn(0), lambda: turn(1)], 4, 0.05)

    assert found["pictures"] == 4 * sum(counts)


def test_rounds_go_back_and_forth() -> None:
    order: list[str] = []

    def measure(name: str) -> dict[str, float]:
        order.append(name)
        return {"cpu_ms": float(len(order))}

    found = alternate({"a": lambda: measure("a"), "b": lambda: measure("b")}, 3)

    assert order == ["a", "b", "b", "a", "a", "b"]
    assert found.figures["a"]["cpu_ms"] == [1, 4, 5]
    assert found.ratio(("a", "cpu_ms"), ("b", "cpu_ms")) == pytest.approx(5 / 6)


def test_a_paced_load_asks_no_faster_than_told_and_keeps_every_answer() -> None:
    def fails() -> None:
        raise RuntimeError("no")

    load = Paced([lambda: None, fails], per_second=100)
    time.sleep(0.3)
    answers = load.stop()

    assert {answer.place for answer in answers} == {0, 1}
    assert all(bool(answer.failure) == (answer.place == 1) for answer in answers)
    assert len(answers) <= 100 * 0.3 * 3


def test_requests_that_overlap_a_swap_are_told_from_the_others() -> None:
    answers = [Answered(0, 1.0, 0.5), Answered(0, 1.9, 0.2), Answered(0, 3.0, 0.1, "gone"), Answered(0, 6.0, 0.1)]

    found = swaps.summary(answers, [swaps.Swap(2.0, 2.5, 4.0, 100.0)])

    assert found["during"] == 2
    assert found["failures"] == ["gone"]
    assert found["p99_during_ms"] == pytest.approx(200)
    assert found["p50_outside_ms"] == pytest.approx(300)


def test_drawn_photos_and_reviews_are_of_the_usual_size() -> None:
    photo, review = bodies.photos(None)[0], bodies.reviews(None)[0]

    assert photo.startswith(b"\xff\xd8")
    assert 20_000 < len(photo) < 100_000
    assert len(review.split()) == 230
