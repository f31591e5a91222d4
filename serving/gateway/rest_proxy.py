"""RestProxy: a remote model server's REST port, asked over connections that are kept.

`passage.py` says what is handed on. On the standard library alone, since one host, whole bodies
and a deadline are all there is to it. Whoever asks often finds an open connection; one that the
server has closed meanwhile costs a second try at once, and a server that is away costs nothing
while the circuit is open.
"""

import http.client
import ssl
from collections import deque
from pathlib import Path
from time import monotonic
from urllib.parse import urlsplit

from serving.errors import BadInput, DataLoss, DeadlineExceeded, Unavailable
from serving.gateway.breaker import CircuitBreaker
from serving.gateway.channel import HUNG_S
from serving.gateway.config import ConfigError
from serving.gateway.upstream import RestAnswer, RestCall

IDLE = 64
"""Connections kept for later."""
MOST_BYTES = 256 * 2**20
"""Of one answer."""
_CHUNK = 65_536


class RestProxy:
    """A RestDoor to another process. Thread-safe."""

    def __init__(self, url: str, ca: Path | None = None) -> None:
        """Args: url: http://HOST[:PORT] or https://... ca: to speak TLS, its authority."""
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path.rstrip("/"):
            raise ConfigError(f"upstream_rest must be an address such as http://localhost:8501, got {url!r}")
        self.breaker = CircuitBreaker()
        self._host = parts.netloc.rpartition("@")[2]
        self._tls = ssl.create_default_context(cafile=ca) if parts.scheme == "https" else None
        self._idle: deque[http.client.HTTPConnection] = deque()

    def ask(self, call: RestCall) -> RestAnswer:
        """See RestDoor.

        Raises:
            Unavailable: the model server is away.
            DeadlineExceeded: it did not answer in time.
        """
        self.breaker.enter()
        given_s = call.deadline - monotonic()
        try:
            answer = self._asked(call)
        except TimeoutError:
            (self.breaker.failed if given_s >= HUNG_S else self.breaker.succeeded)()
            raise DeadlineExceeded("the model server did not answer in time", retry_after_s=1) from None
        except (http.client.InvalidURL, ValueError) as error:
            self.breaker.says_nothing()
            raise BadInput(f"the request cannot be passed on: {error}") from error
        except (OSError, http.client.HTTPException) as error:
            self.breaker.failed()
            raise Unavailable("the model server is away; try again after Retry-After", retry_after_s=1) from error
        except DataLoss:
            self.breaker.succeeded()  # it is there, whatever it says
            raise
        except BaseException:
            self.breaker.says_nothing()
            raise
        self.breaker.succeeded()
        return answer

    def close(self) -> None:
        """Close what is idle; what is in use is closed with its request."""
        while self._idle:
            self._idle.pop().close()

    def _asked(self, call: RestCall) -> RestAnswer:
        while True:
            connection = self._connection()
            was_kept = connection.sock is not None
            try:
                answer = _exchange(connection, call)
            except ConnectionError:
                connection.close()
                if not was_kept:  # one that was kept may have been closed long ago, which says nothing
                    raise
            except BaseException:
                connection.close()
                raise
            else:
                self._keep(connection)
                return answer

    def _connection(self) -> http.client.HTTPConnection:
        try:
            return self._idle.pop()
        except IndexError:
            if self._tls is not None:
                return http.client.HTTPSConnection(self._host, context=self._tls)
            return http.client.HTTPConnection(self._host)

    def _keep(self, connection: http.client.HTTPConnection) -> None:
        if connection.sock is not None and len(self._idle) < IDLE:
            self._idle.append(connection)
        else:
            connection.close()


def _exchange(connection: http.client.HTTPConnection, call: RestCall) -> RestAnswer:
    _limit(connection, call.deadline)
    try:
        connection.request(call.method, call.target, call.body or None, dict(call.headers))
    except BrokenPipeError:  # it may refuse before it has read everything, and its reason is worth reading
        if connection.sock is None:
            raise
    response = connection.getresponse()
    chunks, size = [], 0
    while chunk := response.read1(_CHUNK):  # what has come so far, so that the deadline is looked at in between
        chunks.append(chunk)
        size += len(chunk)
        if size > MOST_BYTES:
            raise DataLoss("the model server's answer does not end")
        _limit(connection, call.deadline)
    if response.length and call.method != "HEAD":
        raise http.client.IncompleteRead(b"", response.length)
    response.close()
    headers = [(name.lower(), value) for name, value in response.getheaders()]
    return RestAnswer(response.status, headers, b"".join(chunks))


def _limit(connection: http.client.HTTPConnection, deadline: float) -> None:
    left = deadline - monotonic()
    if left <= 0:
        raise TimeoutError
    connection.timeout = left
    if connection.sock is not None:
        connection.sock.settimeout(left)
