"""Locust's users: people with photos, people with reviews, services, operators.

Each asks as fast as it is answered, or, once `Pace` gives its kind a rate, takes the next request of
a Poisson process of that rate. Latency counts from when a request was due: where all users of a kind are
still waiting for answers, the next request is late, and that is the stack's doing.
"""

import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from http.client import responses
from random import Random
from typing import Any, ClassVar

import gevent
import grpc
from locust import FastHttpUser, User, constant_pacing, task
from locust.exception import StopUser

from tests.load.record import Record
from tests.load.stack import Call, Post, Stack

PREDICT = "/tensorflow.serving.PredictionService/Predict"
TIMEOUT_S = 30.0


class Pace:
    """When the next request of a kind is due; kinds without a rate ask as fast as they are answered."""

    def __init__(self) -> None:
        self._per_second: dict[str, float] = {}
        self._next: dict[str, float] = {}
        self._random = Random(11)

    def set(self, per_second: Mapping[str, float]) -> None:
        """These rates from now on; none at all: as fast as they are answered."""
        self._per_second = dict(per_second)
        now = time.perf_counter()
        self._next = {kind: max(now, self._next.get(kind, now)) for kind in per_second}

    def take(self, kind: str) -> float:
        """The next request of this kind is the caller's: when it is due, in time.perf_counter()."""
        rate = self._per_second.get(kind)
        if rate is None:
            return time.perf_counter()
        due = self._next[kind] = self._next[kind] + self._random.expovariate(rate)
        return due


class Shared:
    """What the users of one run have in common; set before they start."""

    stack: ClassVar[Stack]
    record: ClassVar[Record] = Record()
    pace: ClassVar[Pace] = Pace()
    headers: ClassVar[Mapping[str, str]] = {}


class GrpcFailure(Exception):
    """A call that failed; Locust's table of failures shows the code's name and the server's words."""


def _turns(requests: Sequence[Any], user: object) -> Iterator[Any]:
    """All requests over and over, each user from a place of its own."""
    if not requests:
        raise StopUser
    at = Random(id(user)).randrange(len(requests))
    return itertools.cycle([*requests[at:], *requests[:at]])


class Paced(User):  # type: ignore[misc]
    """Asks when the next request of its kind is due."""

    abstract = True
    kind: ClassVar[str]
    due_s: float

    def on_start(self) -> None:
        """Wait for the first."""
        gevent.sleep(self.wait_time())

    def wait_time(self) -> float:
        """Until the next."""
        self.due_s = Shared.pace.take(self.kind)
        return max(0.0, self.due_s - time.perf_counter())

    def keep(self, kind: str, code: str, failed: bool) -> None:
        """Record the answer to the request that was due."""
        Shared.record.add(kind, 1000 * (time.perf_counter() - self.due_s), code, failed)


class Posting(Paced, FastHttpUser):  # type: ignore[misc]
    """Posts in turn what its kind has to say."""

    abstract = True
    network_timeout = connection_timeout = TIMEOUT_S

    def on_start(self) -> None:
        """Take up the work at a place of its own."""
        self._posts: Iterator[Post] = _turns(getattr(Shared.stack, self.kind), self)
        super().on_start()

    @task  # type: ignore[untyped-decorator]
    def post(self) -> None:
        """Post one; a broken photo has to be refused as one."""
        what = next(self._posts)
        with self.client.post(
            what.path,
            data=what.body,
            name=f"{self.kind}: {what.name}",
            headers={"Content-Type": what.kind, **Shared.headers},
            catch_response=True,
        ) as answer:
            good = answer.status_code in (400, 422) if what.broken else answer.status_code == 200
            if good:
                answer.success()
            else:
                answer.failure(_said(answer.status_code, what.broken))
        self.keep("broken photos" if what.broken else self.kind, str(answer.status_code), not good)


def _said(status: int, broken: bool) -> str:
    if broken:
        return f"a broken photo was answered with {status}"
    return f"{status} {responses.get(status, '')}" if status else "no answer"


class PhotoUser(Posting):
    """Somebody with photos."""

    kind = "photos"
    weight = 5


class ReviewUser(Posting):
    """Somebody with reviews."""

    kind = "reviews"
    weight = 3


class RowUser(Posting):
    """Somebody with rows of numbers."""

    kind = "rows"
    weight = 2


class PredictUser(Paced):
    """A service that calls gRPC Predict."""

    kind = "predict"
    weight = 3

    def on_start(self) -> None:
        """A channel of its own, as a service in a process of its own has."""
        self._calls: Iterator[Call] = _turns(Shared.stack.calls, self)
        self._channel = grpc.insecure_channel(Shared.stack.grpc, [("grpc.use_local_subchannel_pool", 1)])
        self._predict: Any = self._channel.unary_unary(PREDICT)
        self._metadata = tuple((name.lower(), value) for name, value in Shared.headers.items())
        super().on_start()

    def on_stop(self) -> None:
        """Hang up."""
        self._channel.close()

    @task  # type: ignore[untyped-decorator]
    def predict(self) -> None:
        """Ask once; the call stands in Locust's statistics with its own status code."""
        what = next(self._calls)
        begun, answer, code, failure = time.perf_counter(), b"", "OK", None
        try:
            answer = self._predict(what.request, timeout=TIMEOUT_S, metadata=self._metadata)
        except grpc.RpcError as error:
            code = error.code().name
            failure = GrpcFailure(f"{code}: {(error.details() or '')[:200]}")
        took_ms = 1000 * (time.perf_counter() - begun)
        self.environment.events.request.fire(
            request_type="gRPC",
            name=f"Predict: {what.name}",
            response_time=took_ms,
            response_length=len(answer),
            exception=failure,
            context={"code": code},
        )
        self.keep(self.kind, code, failure is not None)


class OperatorUser(FastHttpUser):  # type: ignore[misc]
    """Somebody who looks after the stack."""

    kind = "status"
    fixed_count = 1
    wait_time = constant_pacing(1)

    @task  # type: ignore[untyped-decorator]
    def look(self) -> None:
        """The list of models, readiness and metrics."""
        for path in ("/v1/models", "/readyz", "/metrics"):
            begun = time.perf_counter()
            answer = self.client.get(path, headers=dict(Shared.headers))
            took_ms = 1000 * (time.perf_counter() - begun)
            Shared.record.add(self.kind, took_ms, str(answer.status_code), answer.status_code != 200)


def wanted(stack: Stack) -> list[type[Any]]:
    """The kinds of users who have something to ask of this stack."""
    classes: list[type[Any]] = [user for user in (PhotoUser, ReviewUser, RowUser) if getattr(stack, user.kind)]
    if stack.grpc and stack.calls:
        classes.append(PredictUser)
    return [*classes, OperatorUser]
