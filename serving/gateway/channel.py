"""Channel: gRPC calls to a model server that always end, and are repeated once where that helps.

Every call has a deadline, goes round all addresses of a name, is refused at once while the circuit
is open and is tried a second time after UNAVAILABLE if the retry budget has room. Failures come
out as the ServingError family. `remote.py` says what to call.
"""

import random
import time
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

import grpc

from serving import errors
from serving.errors import DeadlineExceeded, ServingError, Unavailable
from serving.gateway.breaker import CircuitBreaker, RetryBudget
from serving.gateway.exchange import TRACEPARENT

Call = Callable[..., Any]

LONGEST_S = 60.0
"""Of calls that were given no deadline."""
PAUSE_S = 0.05
"""Before the second try, at most."""
HUNG_S = 1.0
"""A call that had so much time and ran out of it counts as the back end's failure."""

OPTIONS: list[tuple[str, Any]] = [
    ("grpc.lb_policy_name", "round_robin"),
    ("grpc.service_config", '{"loadBalancingConfig": [{"round_robin": {}}]}'),
    ("grpc.enable_retries", 0),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.dns_min_time_between_resolutions_ms", 2_000),
]


class Channel:
    """One channel, its circuit breaker and its retry budget. Thread-safe."""

    def __init__(self, target: str, ca: Path | None = None) -> None:
        self.target = target
        self.breaker = CircuitBreaker()
        self.budget = RetryBudget()
        if ca is None:
            self._channel = grpc.insecure_channel(target, OPTIONS)
        else:
            self._channel = grpc.secure_channel(target, grpc.ssl_channel_credentials(ca.read_bytes()), OPTIONS)

    def method(self, path: str, answer: type[Any]) -> Call:
        """A remote procedure, to be called through `call`."""
        found: Call = self._channel.unary_unary(
            path,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=answer.FromString,
        )
        return found

    def call(self, method: Call, request: Any, deadline: float | None) -> Any:
        """Make one call.

        Raises:
            Unavailable: the model server is away, also at a second try.
            DeadlineExceeded: it did not answer in time.
            ServingError: its own refusal, with its code and text.
        """
        until = monotonic() + LONGEST_S if deadline is None else deadline
        self.breaker.enter()
        try:
            return self._once(method, request, until)
        except Unavailable:
            if monotonic() + PAUSE_S >= until or not self.budget.spend():
                raise
        time.sleep(random.uniform(0, PAUSE_S))
        self.breaker.enter()
        return self._once(method, request, until)

    def _once(self, method: Call, request: Any, until: float) -> Any:
        timeout_s = until - monotonic()
        if timeout_s <= 0:
            raise DeadlineExceeded("the time for this request was over before the model was asked", retry_after_s=1)
        traceparent = TRACEPARENT.get()
        metadata = (("traceparent", traceparent),) if traceparent else None
        try:
            answer = method(request, timeout=timeout_s, metadata=metadata)
        except grpc.RpcError as error:
            raise self._understood(error, timeout_s) from None
        except ValueError as error:  # the channel was closed meanwhile
            raise Unavailable("the server is shutting down", retry_after_s=1) from error
        self.breaker.succeeded()
        self.budget.earn()
        return answer

    def _understood(self, error: Any, timeout_s: float) -> ServingError:
        """What a failed call means, after telling the circuit breaker."""
        code = error.code()
        hung = code is grpc.StatusCode.DEADLINE_EXCEEDED and timeout_s >= HUNG_S
        (self.breaker.failed if hung or code is grpc.StatusCode.UNAVAILABLE else self.breaker.succeeded)()
        if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
            return Unavailable("the model server is away; try again after Retry-After", retry_after_s=1)
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return DeadlineExceeded("the model server did not answer in time", retry_after_s=1)
        return errors.of_code(code.value[0], error.details() or code.name)

    def close(self) -> None:
        """End all calls."""
        self._channel.close()
