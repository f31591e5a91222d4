"""The pages for people: `/`, `/docs` and /openapi.json, served from the package with a strict policy.

The files stand in pages/ and are read once; nothing is fetched from anywhere else, by them or for them.
"""

import hashlib
from pathlib import Path

from flask import Blueprint, Response, request

from serving.gateway.application import Whole

PAGES = Path(__file__).with_name("pages")
KINDS = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
}
FILES = {file.name: file.read_bytes() for file in sorted(PAGES.iterdir()) if file.suffix in KINDS}
TAGS = {name: hashlib.sha256(data).hexdigest()[:32] for name, data in FILES.items()}

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-cache",
}

site = Blueprint("site", __name__)


@site.get("/")
def index() -> Response:
    """The page where people ask a model."""
    return _file("index.html")


@site.get("/docs")
def docs() -> Response:
    """The API, to read and to try."""
    return _file("docs.html")


@site.get("/openapi.json")
def openapi() -> Response:
    """The API, for machines."""
    return _file("openapi.json")


@site.get("/pages/<any('app.js', 'docs.js', 'style.css'):name>")
def asset(name: str) -> Response:
    """What the pages are made of."""
    return _file(name)


def _file(name: str) -> Response:
    response = Whole(FILES[name], content_type=KINDS[Path(name).suffix], headers=HEADERS)
    response.set_etag(TAGS[name])
    return response.make_conditional(request.environ)  # type: ignore[return-value]
