"""The ASGI app of the REST port: which door a path belongs to, the body, the time limit, the reply.

Everything that takes time happens on worker threads: calls that run models on one bounded pool, those
with large bodies on a smaller one (parsed JSON takes many times the memory of its text), the rest (status,
metadata, pages) on a third, so that looking never waits for running. The event loop itself answers what
probes ask.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol

from serving.errors import (
    HTTP_STATUS,
    BodyTooLarge,
    DeadlineExceeded,
    Overloaded,
    ServingError,
    SlowBody,
)
from serving.modelserver import rest_body
from serving.modelserver.ledger import Held, Ledger
from serving.modelserver.rest_limits import RestLimits
from serving.wire import rest_json

log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = Sequence[tuple[bytes, bytes]]

JSON = b"application/json"
_LOOKERS = 2
_LARGE_BYTES = 8 * 2**20
_GZIP_GROWTH = 100
_THREADS_PER_LARGE = 8
_WAITING_PER_THREAD = 32
_CORS: Headers = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"POST, GET"),
    (b"access-control-allow-headers", b"Content-Type"),
)


@dataclass(frozen=True, slots=True)
class Request:
    """A whole request."""

    method: str
    path: str
    """Raw, with the query."""
    headers: Mapping[bytes, bytes]
    """Names in lower case."""
    body: bytes
    deadline: float
    """In time.monotonic() seconds."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole reply."""

    body: bytes
    status: int = 200
    content_type: bytes = JSON
    headers: Headers = field(default_factory=tuple)


class Door(Protocol):
    """One API on the port."""

    def owns(self, path: str) -> bool:
        """Whether a raw path belongs to it."""

    def runs_models(self, method: str) -> bool:
        """Whether such a request may take long."""

    def at_once(self, method: str, path: str, headers: Mapping[bytes, bytes]) -> Reply | None:
        """An answer that needs neither body nor thread, if there is one."""

    def answer(self, request: Request) -> Reply:
        """On a worker thread; raises ServingError."""


class Workers:
    """A bounded pool whose threads exist from the start; what is over the bound is refused at once."""

    def __init__(self, name: str, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, name)
        self._most = threads * _WAITING_PER_THREAD
        self._under_way = 0
        everyone = threading.Barrier(threads + 1)
        try:
            for _ in range(threads):
                self._pool.submit(everyone.wait)
        except RuntimeError:
            everyone.abort()
            raise
        everyone.wait()

    async def run(self, work: Callable[[], Reply], timeout_s: float, held: Held) -> Reply:
        """Do some work on a thread; called on the event loop alone.

        Args:
            work: what to do.
            timeout_s: longest wait for it.
            held: released when no thread needs the request any more.

        Raises:
            Overloaded: too much waits already.
            DeadlineExceeded: it takes longer than allowed; what runs goes on and its answer is dropped,
                what has not begun never will.
        """
        if self._under_way >= self._most:
            held.release()
            raise Overloaded(f"{self._under_way} REST calls are under way already; try again later", retry_after_s=1)
        self._under_way += 1
        begun = self._pool.submit(work)
        task = asyncio.wrap_future(begun)
        task.add_done_callback(partial(self._done, held))
        done, _ = await asyncio.wait({task}, timeout=timeout_s)
        if not done:
            begun.cancel()
            raise DeadlineExceeded(f"The call did not end within {timeout_s:g} s")
        return task.result()

    def _done(self, held: Held, task: "asyncio.Future[Reply]") -> None:
        self._under_way -= 1
        held.release()
        if not task.cancelled():
            task.exception()  # looked at, so that asyncio does not complain of a late failure

    def close(self) -> None:
        """Let the threads end when their work does."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class RestApp:
    """The app; `doors` are asked in their order whether a path is theirs."""

    def __init__(self, doors: Iterable[Door], *, threads: int, limits: RestLimits, cors: bool) -> None:
        self._doors, self._limits = tuple(doors), limits
        self._cors = _CORS if cors else ()
        self._runners, self._lookers = Workers("rest", threads), Workers("rest-look", _LOOKERS)
        self._large = Workers("rest-large", max(2, threads // _THREADS_PER_LARGE))
        self.ledger = Ledger(limits.most_buffered_bytes)

    async def __call__(self, scope: Scope, receive: rest_body.Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        try:
            reply = await self._reply(scope, receive)
        except ServingError as error:
            reply = of_error(error)
        except Exception as error:  # a fault of ours: the log has all of it, the caller nothing of our insides
            log.exception("a REST call failed unexpectedly")
            reply = of_error(ServingError(f"Unexpected {type(error).__name__}; see the log"))
        headers = [
            (b"content-type", reply.content_type),
            (b"content-length", b"%d" % len(reply.body)),
            *reply.headers,
            *self._cors,
        ]
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else reply.body})

    async def _reply(self, scope: Scope, receive: rest_body.Receive) -> Reply:
        path = scope["raw_path"].decode("latin-1")
        if scope["query_string"]:
            path += "?" + scope["query_string"].decode("latin-1")
        method, headers = scope["method"], dict(scope["headers"])
        door = next((door for door in self._doors if door.owns(path)), None)
        if door is None:
            return nothing_at(path)
        reply = door.at_once(method, path, headers)
        if reply is not None:
            return reply
        length = headers.get(b"content-length", b"").lstrip(b"0")  # int() balks at thousands of zeros
        if length.isdigit() and int(length) > self._limits.most_body_bytes:
            raise BodyTooLarge(f"The request's body is larger than {self._limits.most_body_bytes} bytes")
        held = Held(self.ledger)
        try:
            body = await rest_body.read(receive, self._limits, held)
        except BaseException:
            held.release()
            raise
        request = Request(method, path, headers, body, time.monotonic() + self._limits.run_s)
        del body
        workers = self._workers(request) if door.runs_models(method) else self._lookers
        return await workers.run(partial(_answer, door, request, held), self._limits.run_s, held)

    def _workers(self, request: Request) -> Workers:
        growth = _GZIP_GROWTH if _is_gzip(request) else 1
        return self._large if len(request.body) * growth > _LARGE_BYTES else self._runners

    def close(self) -> None:
        """Let the worker threads end."""
        self._runners.close()
        self._large.close()
        self._lookers.close()


def answered(doors: Iterable[Door], request: Request) -> Reply:
    """What the port would say to a whole request, found in the calling thread."""
    door = next((door for door in doors if door.owns(request.path)), None)
    if door is None:
        return nothing_at(request.path)
    try:
        reply = door.at_once(request.method, request.path, request.headers)
    except ServingError as error:
        return of_error(error)
    return reply or _answer(door, request)


def nothing_at(path: str) -> Reply:
    """The reply where no door owns a path."""
    return Reply(rest_json.error_answer(f"Nothing is served at {path}"), 404)


def _answer(door: Door, request: Request, held: Held | None = None) -> Reply:
    """On a worker thread, where errors become replies: futures carry them slower, with their traces."""
    try:
        if _is_gzip(request):
            request = replace(request, body=rest_body.inflate(request.body, held))
        return door.answer(request)
    except ServingError as error:
        return of_error(error)


def _is_gzip(request: Request) -> bool:
    return request.headers.get(b"content-encoding", b"").strip().lower() == b"gzip"


def of_error(error: ServingError) -> Reply:
    """The reply of a failure: its code's status, its text as JSON."""
    body = rest_json.error_answer(error.message)
    if isinstance(error, SlowBody):
        return Reply(body, 408, headers=((b"connection", b"close"),))
    if isinstance(error, BodyTooLarge):
        return Reply(body, 413, headers=((b"connection", b"close"),))
    if error.retry_after_s is not None:
        return Reply(body, HTTP_STATUS[error.code], headers=((b"retry-after", b"%d" % max(1, error.retry_after_s)),))
    return Reply(body, HTTP_STATUS[error.code])
