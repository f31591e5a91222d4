"""HTTP alone: the gateway's HTTP server around a handler that reads the body and returns at once.

python -m tests.bench.return_at_once PORT
"""

import sys
from typing import Any

import uvicorn

ANSWER = b'{"predictions":[]}'
_HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(ANSWER)).encode())]


async def answer(scope: Any, receive: Any, send: Any) -> None:
    """Whole body in, the same few bytes out."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": ANSWER})


if __name__ == "__main__":
    uvicorn.run(
        answer,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        log_level="error",
        access_log=False,
        lifespan="off",
        loop="uvloop",
    )
