"""The ASGI front: whole requests in, whole answers out, slow callers kept away from the threads.

uvicorn (through `connection.py`) hands over a request as soon as its head is there. The front
reads the body on the event loop under a size cap and a deadline, checks the key, asks
`admission.py` for a turn, and only then spends a thread on the Flask app of `app.py`. Each lane
has threads of its own, so health and metrics answer whatever the classifying threads are doing.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from time import monotonic
from typing import Any

from serving.errors import BodyTooLarge, Overloaded, ServingError, SlowBody, Unavailable
from serving.gateway.admission import Admission
from serving.gateway.auth import Keys
from serving.gateway.config import GatewayConfig
from serving.gateway.connection import LOST_KEY, WHOLE_KEY
from serving.gateway.exchange import Exchange, deadline_of, identify
from serving.gateway.lanes import Lane, Lanes
from serving.gateway.passage import passage
from serving.gateway.problems import Reply, refusal
from serving.gateway.wsgi import WsgiApp, answered, environ_of

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Finished = Callable[[Exchange, int], None]

DRAIN_S = 1.0
"""How long the rest of a refused body is read, so that the caller sees the answer rather than a reset."""

STUCK_WORK_S = 30.0
"""A thread that is so long past its request's deadline will not come back."""


class CallerLeft(Exception):
    """The connection ended before the request did; nobody waits for an answer."""


@dataclass(slots=True)
class Held:
    """Bytes of one body that are in memory."""

    size: int = 0


class Front:
    """The ASGI application that uvicorn runs; all of it happens on its event loop but the WSGI app."""

    def __init__(
        self, app: WsgiApp, config: GatewayConfig, *, admission: Admission, keys: Keys, lanes: Lanes, finished: Finished
    ) -> None:
        self._app = app
        self._config = config
        self._admission = admission
        self._keys = keys
        self._lanes = lanes
        self._finished = finished
        self._buffered = 0
        self._working: set[Exchange] = set()
        self.draining = False
        self.abandoned = 0
        """Requests whose thread was still at work when the grace time ended."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        exchange = Exchange()
        header = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        identify(exchange, header)
        closes = False
        try:
            status, headers, body = await self._answer(scope, header, receive, exchange)
        except CallerLeft:
            exchange.code = "CANCELLED"
            self._finished(exchange, 499)
            return
        except (ServingError, asyncio.CancelledError) as cause:
            error = self._understood(cause).with_traceback(None)  # whose frames hold what came of the body
            exchange.code = error.code.name
            status, headers, body = refusal(error, exchange.request_id)
            closes = not (WHOLE_KEY in scope or self.draining or await _passed_over(scope, header, receive, error))
        if closes or self.draining:
            headers.append((b"connection", b"close"))
        exchange.bytes_out = len(body)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        self._finished(exchange, status)
        for act in exchange.afterwards:
            act()
        exchange.afterwards.clear()  # they hold the answer, and the exchange is kept until it is counted

    def _understood(self, cause: ServingError | asyncio.CancelledError) -> ServingError:
        """Why there is no answer; what is cancelled while draining has not been finished in the grace time."""
        if isinstance(cause, ServingError):
            return cause
        if not self.draining:
            raise cause
        return Unavailable("the server shut down before this was answered; try again, elsewhere", retry_after_s=1)

    async def _answer(self, scope: Scope, header: dict[str, str], receive: Receive, exchange: Exchange) -> Reply:
        raw_path = scope["raw_path"].decode("latin-1")
        lane = self._lanes.of(scope["method"], scope["path"], passes=passage(raw_path) is not None)
        if lane.guarded:
            exchange.key = self._keys.check(header.get("authorization"))
            exchange.authorized = True
        held = Held()
        try:
            body = await self._body(scope, header, receive, held)
            exchange.read_s = exchange.total_s()
            exchange.bytes_in = len(body)
            config = self._config
            exchange.deadline = deadline_of(header, monotonic(), config.default_timeout_s, config.max_timeout_s)
            environ = environ_of(scope, header, body, exchange)
            if not lane.admitted:
                return await self._in_thread(lane, environ)
            before = monotonic()
            if not self._admission.enter_at_once():
                await self._turn(scope, exchange.deadline)
            return await self._admitted(lane, environ, exchange, before)
        finally:
            self._buffered -= held.size

    async def _turn(self, scope: Scope, deadline: float) -> None:
        """Wait for this request's turn, as long as its caller does."""
        task, gone = asyncio.current_task(), False

        def leave() -> None:
            nonlocal gone
            if task is not None:
                gone = task.cancel()

        lost: set[Callable[[], None]] = scope.get(LOST_KEY, set())
        lost.add(leave)
        try:
            await self._admission.wait(deadline)
        except asyncio.CancelledError:
            if task is None or not gone:
                raise
            task.uncancel()
            raise CallerLeft from None
        finally:
            lost.discard(leave)

    async def _admitted(self, lane: Lane, environ: dict[str, Any], exchange: Exchange, before: float) -> Reply:
        started = monotonic()
        exchange.queue_s = started - before
        self._working.add(exchange)
        try:
            answer = await self._in_thread(lane, environ)
            if exchange.model and exchange.code in {"OK", "DEADLINE_EXCEEDED"}:
                size = exchange.items or -exchange.bytes_in.bit_length()
                self._admission.learn((exchange.model, size), monotonic() - started)
            return answer
        finally:
            self._working.discard(exchange)
            self._admission.leave()

    def is_stuck(self) -> bool:
        """Whether all that may be worked on is long past its deadline, so that nothing ever will be; any thread."""
        now = monotonic()
        working = list(self._working)
        return len(working) >= self._admission.limit.value(now) and all(
            exchange.deadline + STUCK_WORK_S < now for exchange in working
        )

    async def _in_thread(self, lane: Lane, environ: dict[str, Any]) -> Reply:
        if not lane.enter():
            raise Overloaded("too many requests of this kind at once; try again after Retry-After")
        try:
            return await lane.crew.do(answered, self._app, environ, monotonic())
        except asyncio.CancelledError:
            self.abandoned += 1
            raise
        finally:
            lane.leave()

    async def _body(self, scope: Scope, header: dict[str, str], receive: Receive, held: Held) -> bytes:
        most = self._config.max_body_bytes
        size = int(header.get("content-length", "").lstrip("0") or 0)  # int() balks at thousands of zeros
        if size == 0 and "transfer-encoding" not in header:
            return b""
        if size <= most:
            read = self._read if WHOLE_KEY in scope else self._read_in_time
            if (body := await read(receive, most, held)) is not None:
                return body
        raise BodyTooLarge(f"the body has more than {most} bytes, the most taken in one request; send fewer or smaller")

    async def _read_in_time(self, receive: Receive, most: int, held: Held) -> bytes | None:
        try:
            async with asyncio.timeout(self._config.body_timeout_s):
                return await self._read(receive, most, held)
        except TimeoutError:
            raise SlowBody(f"the body did not arrive within {self._config.body_timeout_s:g} s") from None

    async def _read(self, receive: Receive, most: int, held: Held) -> bytes | None:
        """The whole body, or None as soon as it is over the cap."""
        chunks: list[bytes] = []
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise CallerLeft
            chunks.append(message["body"])
            self._hold(len(chunks[-1]), held)
            if held.size > most:
                return None
            if not message["more_body"]:
                return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _hold(self, size: int, held: Held) -> None:
        """Count bytes that are kept until the answer is sent.

        Raises:
            Overloaded: other bodies fill the memory set aside for them.
        """
        held.size += size
        self._buffered += size
        if self._buffered > self._config.max_buffered_bytes:
            raise Overloaded("too many large bodies at once; try again after Retry-After")


async def _passed_over(scope: Scope, header: dict[str, str], receive: Receive, error: ServingError) -> bool:
    """Read the rest of a body for a moment; whether all of it has come, so that another request may follow."""
    if "expect" in header or isinstance(error, SlowBody):
        return False
    try:
        async with asyncio.timeout(DRAIN_S):
            while (message := await receive())["type"] == "http.request" and message["more_body"]:
                pass
    except TimeoutError:
        pass
    return WHOLE_KEY in scope
