"""An open loop: callers who come at random at a given rate, whatever the others were told.

On asyncio in this process, over connections that are kept; each request carries an id of its own, by
which the server's access log can be laid beside what the caller saw.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as its caller saw it."""

    name: str
    """Its X-Request-Id."""
    due_s: float
    """When it was to be sent, time.monotonic()."""
    took_s: float
    """From then to the last byte of the answer."""
    status: int
    """0 if there was no answer."""
    retry_after: bool


class Strangers:
    """Callers of one path of one server; `address` is host:port."""

    def __init__(self, address: str, path: str, kind: str, body: bytes, seed: int = 1) -> None:
        host, _, port = address.rpartition(":")
        self._where = (host, int(port))
        self._head = (
            f"POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        )
        self._body = body
        self._chance = random.Random(seed)
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._seen: list[Seen] = []

    async def come(self, name: str, per_second: float, seconds: float) -> Sequence[Seen]:
        """All that was seen of so many seconds, once the last is answered."""
        self._seen = []
        due = time.monotonic()
        until = due + seconds
        tasks: list[asyncio.Task[None]] = []
        while due < until:
            await asyncio.sleep(due - time.monotonic())
            tasks.append(asyncio.create_task(self._ask(f"{name}-{len(tasks)}", due)))
            due += self._chance.expovariate(per_second)
        await asyncio.gather(*tasks)
        return self._seen

    async def _ask(self, name: str, due: float) -> None:
        status, retry_after = 0, False
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, ValueError, IndexError):
            async with asyncio.timeout(TIMEOUT_S):
                connection = self._idle.pop() if self._idle else await asyncio.open_connection(*self._where)
                reader, writer = connection
                writer.write(f"{self._head}X-Request-Id: {name}\r\n\r\n".encode() + self._body)
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                await reader.readexactly(int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0]))
                status, retry_after = int(head.split(b" ", 2)[1]), b"\r\nretry-after:" in head
                if b"connection: close" in head:
                    writer.close()
                else:
                    self._idle.append(connection)
        self._seen.append(Seen(name, due, time.monotonic() - due, status, retry_after))

    def leave(self) -> None:
        """Hang up."""
        for _, writer in self._idle:
            writer.close()
        self._idle.clear()
