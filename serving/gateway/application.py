"""Application: Flask, told what this gateway never needs of it.

Under load every call of Python finds the caches cold, so each that disappears counts three times what it costs
in a loop (docs/performance.md). What is overridden here are Flask's own points of extension, and only to leave
out work whose result nobody sees: sessions, the name of the host, headers of streams and redirects.
"""

from collections.abc import Callable, Iterable
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from flask import Flask, Request, Response
from flask.sessions import NullSession, SessionInterface
from werkzeug.routing import MapAdapter, Rule

from serving.gateway.exchange import BODY_KEY

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

MOST_PATHS = 256
"""Paths that led to a route and are remembered; those not asked for longest are forgotten."""


class Asked(Request):
    """Flask's request, which splits the endpoint's name once instead of once for every kind of hook."""

    @cached_property
    def blueprints(self) -> list[str]:
        """Names of the blueprint that answers and of those around it."""
        return super().blueprints


class Whole(Response):
    """Flask's response, whose body is usually there as a whole."""

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Hand over an ordinary answer as it stands.

        Flask copies the headers to look for locations and lengths that are left to set, and wraps the body to
        notice its end; an answer of status 200 has no use for the first, nor `front.py` for the second.
        """
        if self.status_code != 200 or environ["REQUEST_METHOD"] == "HEAD" or BODY_KEY not in environ:
            return super().__call__(environ, start_response)
        start_response(self.status, self.headers.to_wsgi_list())
        return self.response  # type: ignore[return-value]


class NoSessions(SessionInterface):
    """There are no cookies here, so every request has the same empty session."""

    _none = NullSession()

    def open_session(self, app: Flask, request: Request) -> NullSession:
        """It, without looking for a secret key first."""
        return self._none


class Adapter(MapAdapter):
    """Finds the route of one request, with what `Application` remembers of others."""

    remembered: Callable[[str, str], tuple[Rule, dict[str, Any]]]

    def match(self, *asked: Any, **how: Any) -> Any:
        """The rule and the values in the path; raises what `MapAdapter.match` does."""
        if asked or how != {"return_rule": True}:
            return super().match(*asked, **how)
        rule, values = self.remembered(self.path_info, self.default_method)
        return rule, values.copy()


class Application(Flask):
    """Flask, with nothing async, no sessions, and routes that no host has a say in."""

    request_class = Asked
    response_class = Whole
    session_interface = NoSessions()

    def __init__(self, name: str) -> None:
        super().__init__(name, static_folder=None)

        @lru_cache(maxsize=MOST_PATHS)
        def remembered(path: str, method: str) -> tuple[Rule, dict[str, Any]]:
            rule, values = self.url_map.bind("", path_info=path, default_method=method).match(return_rule=True)
            return rule, dict(values)

        self._remembered = remembered

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """The function as it is, without finding out for every request that it is not async."""
        return func

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """What finds the route: by path and method, since no rule here names a host and no URL is built."""
        if request is None or "HTTP_UPGRADE" in request.environ:
            return super().create_url_adapter(request)
        adapter = Adapter(self.url_map, "", "/", "", request.scheme, request.path, request.method)
        adapter.remembered = self._remembered
        return adapter
