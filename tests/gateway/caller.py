"""Asks a gateway over real sockets, politely or not."""

import http.client
import io
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from PIL import Image

from serving.gateway.server import Gateway

COLORS_CLASSIFY = "/v1/models/colors/classify"
MOODS_CLASSIFY = "/v1/models/moods/classify"
JPEG = {"Content-Type": "image/jpeg"}
TEXT = {"Content-Type": "text/plain"}
JSON = {"Content-Type": "application/json"}
PALETTE = {"red": (220, 20, 30), "green": (20, 220, 30), "blue": (20, 30, 220)}


def picture(color: str = "red", kind: str = "JPEG", size: tuple[int, int] = (48, 32)) -> bytes:
    """A picture of one color."""
    file = io.BytesIO()
    Image.new("RGB", size, PALETTE[color]).save(file, kind)
    return file.getvalue()


RED = picture("red")
GREEN = picture("green")
BLUE = picture("blue")


@dataclass(frozen=True)
class Answered:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def labels(self) -> list[str]:
        return [prediction["label"] for prediction in self.json["predictions"]]


class Caller:
    """One caller of one gateway; every request has a connection of its own."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    def ask(
        self,
        path: str,
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        method: str | None = None,
    ) -> Answered:
        connection = http.client.HTTPConnection("127.0.0.1", self.gateway.port, timeout=30)
        try:
            data = body.encode() if isinstance(body, str) else body
            connection.request(method or ("GET" if body is None else "POST"), path, data, dict(headers or {}))
            answer = connection.getresponse()
            names = {name.lower(): value for name, value in answer.getheaders()}
            return Answered(answer.status, names, answer.read())
        finally:
            connection.close()

    def classify(self, body: bytes | str, query: str = "", model: str = "colors", **headers: str) -> Answered:
        """A picture as JPEG, a text as text/plain."""
        kind = JPEG if isinstance(body, bytes) else TEXT
        return self.ask(f"/v1/models/{model}/classify{query}", body, kind | headers)

    def connect(self) -> socket.socket:
        """A bare connection, for callers with bad manners."""
        return socket.create_connection(("127.0.0.1", self.gateway.port), timeout=30)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None


def head(path: str = COLORS_CLASSIFY, length: int | None = None, **headers: str) -> bytes:
    """The head of a POST, as it goes over the wire."""
    lines = [f"POST {path} HTTP/1.1", "Host: gateway", "Content-Type: image/jpeg"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    return "\r\n".join([*lines, "", ""]).encode()


def received(connection: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    chunks = []
    try:
        while chunk := connection.recv(65536):
            chunks.append(chunk)
    except ConnectionResetError:
        pass
    return b"".join(chunks)


def form(*parts: tuple[str, str, bytes], boundary: str = "b0undary") -> tuple[bytes, dict[str, str]]:
    """A multipart body of (field, content type, data), and its header."""
    body = b""
    for number, (name, kind, data) in enumerate(parts):
        disposition = f'form-data; name="{name}"; filename="{number}"'
        body += f"--{boundary}\r\nContent-Disposition: {disposition}\r\nContent-Type: {kind}\r\n\r\n".encode()
        body += data + b"\r\n"
    return body + f"--{boundary}--\r\n".encode(), {"Content-Type": f"multipart/form-data; boundary={boundary}"}
