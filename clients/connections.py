"""Connections: HTTP/1.1 with connections kept and used again, on the standard library alone.

Why not a library: urllib3 or httpx would be one more dependency in every service that asks us, for
what takes a screen here. One host, no redirects, no cookies, no proxies, no streaming. What
matters is here: reuse, no wait beyond the deadline, and a second try at once when the
server had closed a kept connection.
"""

import http.client
import ssl
import time
from collections.abc import Mapping
from threading import Lock
from typing import NamedTuple
from urllib.parse import urlsplit

from serving.errors import BadInput, DeadlineExceeded, Unavailable, Unknown

LONGEST_ANSWER = 256 * 2**20
_CHUNK = 65_536


class Answer(NamedTuple):
    """A whole HTTP answer."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes


class Connections:
    """A pool of connections to one address. Thread-safe.

    Args:
        url: http://HOST[:PORT][/PREFIX] or https://...; the prefix is put before every path.
        tls: how to speak https; None for this machine's defaults.
        keep: idle connections kept at most.
    """

    def __init__(self, url: str, *, tls: ssl.SSLContext | None = None, keep: int = 8) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise BadInput(f"{url!r} is no address; give one such as http://127.0.0.1:8080")
        self.url = url
        self._host, self._prefix = parts.netloc.rpartition("@")[2], parts.path.rstrip("/")
        self._tls = (tls or ssl.create_default_context()) if parts.scheme == "https" else None
        self._keep = keep
        self._idle: list[http.client.HTTPConnection] = []
        self._lock = Lock()

    def request(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], deadline: float
    ) -> Answer:
        """Send one request and read its whole answer.

        Raises:
            DeadlineExceeded: no whole answer in time.
            Unavailable: nobody answers there, or the connection broke.
        """
        while True:
            connection = self._take()
            used_before = connection.sock is not None
            try:
                answer = self._exchange(connection, method, self._prefix + path, body, headers, deadline)
            except TimeoutError:
                connection.close()
                raise DeadlineExceeded(f"{self.url} gave no answer in time") from None
            except (http.client.HTTPException, OSError) as error:
                connection.close()
                # A kept connection that the server has closed in the meantime says nothing about the server.
                if not used_before or not isinstance(error, ConnectionError):
                    raise Unavailable(f"{self.url} cannot be asked: {error or type(error).__name__}") from error
            except BaseException:
                connection.close()
                raise
            else:
                self._give_back(connection)
                return answer

    def close(self) -> None:
        """Close what is idle; what is in use is closed when its request ends."""
        with self._lock:
            idle, self._idle, self._keep = self._idle, [], 0
        for connection in idle:
            connection.close()

    def _take(self) -> http.client.HTTPConnection:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        if self._tls is not None:
            return http.client.HTTPSConnection(self._host, context=self._tls)
        return http.client.HTTPConnection(self._host)

    def _give_back(self, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            if connection.sock is not None and len(self._idle) < self._keep:
                self._idle.append(connection)
                return
        connection.close()

    def _exchange(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: bytes | None,
        headers: Mapping[str, str],
        deadline: float,
    ) -> Answer:
        connection.timeout = _left(deadline)
        if connection.sock is not None:
            connection.sock.settimeout(connection.timeout)
        refused_early = False
        try:
            connection.request(method, path, body, dict(headers))
        except BrokenPipeError:  # A server may refuse before it has read everything; its reason is worth reading.
            refused_early = True
        if connection.sock is not None:
            connection.sock.settimeout(_left(deadline))
        response = connection.getresponse()
        answer = Answer(response.status, response.headers, _whole_body(connection, response, deadline))
        if refused_early:
            connection.close()
        return answer


def _whole_body(connection: http.client.HTTPConnection, response: http.client.HTTPResponse, deadline: float) -> bytes:
    chunks, size = [], 0
    while chunk := response.read1(_CHUNK):  # Whatever has come, so that the deadline is looked at in between.
        chunks.append(chunk)
        size += len(chunk)
        if size > LONGEST_ANSWER:
            raise Unknown("the server's answer does not end")
        if connection.sock is not None:
            connection.sock.settimeout(_left(deadline))
    if response.length:
        raise http.client.IncompleteRead(b"", response.length)
    response.close()  # read1 leaves it open, and the connection then refuses its next request.
    return b"".join(chunks)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
