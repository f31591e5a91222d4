"""From an ASGI request to the WSGI app and back: the environ that it is given, and its answer."""

import io
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from time import monotonic
from typing import Any

from serving.gateway.exchange import BODY_KEY, ENVIRON_KEY, Exchange
from serving.gateway.problems import Headers, Reply

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


@lru_cache(maxsize=256)
def _variable(name: str) -> str:
    """The environ's name for a header; a dash and an underscore would collide, so the latter get none."""
    if "_" in name:
        return ""
    return {"content-type": "CONTENT_TYPE", "content-length": ""}.get(name, f"HTTP_{name.upper().replace('-', '_')}")


def environ_of(scope: Mapping[str, Any], header: dict[str, str], body: bytes, exchange: Exchange) -> dict[str, Any]:
    """What PEP 3333 asks for, and the Exchange."""
    server = scope.get("server") or ("localhost", 80)
    client = scope.get("client") or ("", 0)
    path, query = scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1")
    environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": scope["path"].encode().decode("latin-1"),
        "QUERY_STRING": query,
        "REQUEST_URI": f"{path}?{query}" if query else path,
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1] or 80),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": client[0],
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        ENVIRON_KEY: exchange,
        BODY_KEY: body,
    }
    for name, value in header.items():
        if variable := _variable(name):
            environ[variable] = value
    return environ


def answered(app: WsgiApp, environ: dict[str, Any], handed_over: float) -> Reply:
    """Run the WSGI app in this thread, to the last byte; what it waited for the thread counts as queueing."""
    head: list[Any] = []
    environ[ENVIRON_KEY].queue_s += monotonic() - handed_over

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> None:
        head[:] = status, headers

    parts = app(environ, start_response)
    try:
        body = b"".join(parts)
    finally:
        if (close := getattr(parts, "close", None)) is not None:
            close()
    encoded: Headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in head[1]]
    return Reply(int(head[0].split(" ", 1)[0]), encoded, body)
