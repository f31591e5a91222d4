"""A server over real sockets that does what a test tells it, also what no good server would."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

Script = Callable[[socket.socket, bytes], bool]
"""Answer one request, given its head; False ends the connection."""


@dataclass
class Scripted:
    """What was asked of the server so far."""

    url: str = ""
    heads: list[str] = field(default_factory=list)
    connections: int = 0


def reply(body: str, status: str = "200 OK", *headers: str) -> bytes:
    """A whole HTTP answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body.encode())}", *headers, "", body]
    return "\r\n".join(lines).encode()


def one_by_one(*answers: bytes) -> Script:
    """Give these answers in turn, the last one for ever."""
    left = list(answers)

    def answer(connection: socket.socket, _head: bytes) -> bool:
        connection.sendall(left.pop(0) if len(left) > 1 else left[0])
        return True

    return answer


@contextmanager
def serving(script: Script, *, read_bodies: bool = True, tls: ssl.SSLContext | None = None) -> Iterator[Scripted]:
    """Run the script for every request until the block ends."""
    seen = Scripted()

    def talk(connection: socket.socket) -> None:
        with suppress(OSError):
            connection = tls.wrap_socket(connection, server_side=True) if tls else connection
        with connection, suppress(OSError), connection.makefile("rb") as reader:
            while head := _head(reader.readline):
                seen.heads.append(head.decode())
                if read_bodies:
                    reader.read(_length(head))
                if not script(connection, head):
                    return

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                seen.connections += 1
                threading.Thread(target=talk, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        seen.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        threading.Thread(target=accept, daemon=True).start()
        yield seen
        listener.shutdown(socket.SHUT_RDWR)


def _head(read_line: Callable[[], bytes]) -> bytes:
    lines = []
    while (line := read_line()) not in (b"\r\n", b""):
        lines.append(line)
    return b"".join(lines)


def _length(head: bytes) -> int:
    lines = (line.partition(b":") for line in head.lower().splitlines())
    return next((int(value) for name, _, value in lines if name == b"content-length"), 0)
