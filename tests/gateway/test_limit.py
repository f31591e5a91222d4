"""The adaptive limit, fed with numbers; no clock is looked at."""

from serving.gateway.limit import AdaptiveLimit


class Server:
    """A back end that works on so many requests at once, each taking so long; the rest stand in line."""

    def __init__(self, limit: AdaptiveLimit, parallel: int, takes_s: float) -> None:
        self.limit, self.parallel, self.takes_s = limit, parallel, takes_s
        self.now = 0.0

    def run(self, seconds: float, wanted: int) -> None:
        """Callers keep `wanted` requests coming; as many are let in as the limit says."""
        until = self.now + seconds
        while self.now < until:
            inside = min(wanted, self.limit.value(self.now))
            latency_s = self.takes_s * max(1.0, inside / self.parallel)
            self.now += latency_s / inside
            self.limit.sample("kind", latency_s, inside, self.now)


def test_a_serial_back_end_is_given_about_one_request_at_a_time_also_after_a_minute_of_overload() -> None:
    limit = AdaptiveLimit(64, 0.02)
    server = Server(limit, parallel=1, takes_s=0.025)
    server.run(60, wanted=1000)

    assert limit.value(server.now) <= 3


def test_a_parallel_back_end_is_filled() -> None:
    limit = AdaptiveLimit(64, 0.02)
    server = Server(limit, parallel=16, takes_s=0.1)
    server.run(60, wanted=1000)

    assert limit.value(server.now + 1) >= 14


def test_fast_answers_never_make_the_limit_shrink() -> None:
    limit = AdaptiveLimit(64, 0.04)
    server = Server(limit, parallel=2, takes_s=0.002)
    server.run(20, wanted=8)

    assert limit.value(server.now + 1) >= 8


def test_one_hiccup_of_the_machine_does_not_make_it_shrink() -> None:
    limit = AdaptiveLimit(64, 0.04, start=8)
    server = Server(limit, parallel=8, takes_s=0.005)
    for _ in range(20):
        server.run(1, wanted=8)
        for _ in range(8):  # all that are in flight stall together
            limit.sample("kind", 0.3, 8, server.now)
        assert limit.value(server.now + 1) >= 8


def test_a_limit_that_nobody_needs_does_not_grow() -> None:
    limit = AdaptiveLimit(64, 0.04, start=8)
    Server(limit, parallel=8, takes_s=0.01).run(20, wanted=2)

    assert limit.value(1000) == 8


def test_the_limit_is_never_under_one_nor_over_the_most() -> None:
    limit = AdaptiveLimit(4, 0.001)
    server = Server(limit, parallel=1, takes_s=1)
    server.run(200, wanted=100)
    assert limit.value(server.now) >= 1
    Server(limit := AdaptiveLimit(4, 1), parallel=100, takes_s=0.01).run(20, wanted=100)
    assert limit.value(1000) == 4


def test_a_stranger_cannot_make_it_remember_without_end() -> None:
    limit = AdaptiveLimit(4, 0.01)
    for number in range(10_000):
        limit.sample(number, 0.01, 1, 0.0)

    assert len(limit._idle) <= 256


def test_it_never_goes_below_its_least() -> None:
    limit = AdaptiveLimit(64, 0.0, least=4)
    limit.sample("kind", 0.001, 1, 0.0)
    for turn in range(100):
        limit.sample("kind", 0.5, 8, turn * 0.05)

    assert limit.value(5.0) == 4
    assert AdaptiveLimit(2, 0.0, least=4).value(0) == 2
