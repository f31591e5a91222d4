"""Application: Flask, told what this gateway never needs of it.

Under load every call of Python finds the caches cold, so each that disappears counts three times what it costs
in a loop (docs/performance.md). What is overridden here are Flask's own points of extension, and only to leave
out work whose result nobody sees: sessions, the name of the host, headers of streams and redirects.
"""

from collections.abc import Callable, Iterable
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from flask import Flask, Request, Response, appcontext_tearing_down, request_tearing_down
from flask.globals import request_ctx
from flask.sessions import NullSession, SessionInterface
from flask.typing import ResponseReturnValue
from werkzeug.routing import MapAdapter, Rule

from serving.gateway.exchange import BODY_KEY

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

T = TypeVar("T")

MOST_PATHS = 256
"""Paths that led to a route and are remembered; those not asked for longest are forgotten."""
LONGEST_PATH = 256
"""Characters; longer ones are not remembered, or strangers could fill the memory."""


def itself(proxy: T) -> T:
    """What one of Flask's proxies stands for now; every look through the proxy costs three calls, this one in all."""
    found: T = proxy._get_current_object()  # type: ignore[attr-defined]
    return found


class Asked(Request):
    """Flask's request, whose body no route here takes apart as a form."""

    def close(self) -> None:
        """Close the files of a form, if one was read."""
        if "files" in self.__dict__:
            super().close()


class Whole(Response):
    """Flask's response, whose body is usually there as a whole."""

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Hand over an ordinary answer as it stands.

        Flask copies the headers to look for locations and lengths that are left to set, and wraps the body to
        notice its end; an answer of status 200 with a body has no use for the first, nor `front.py` for the second.
        """
        ordinary = self.status_code == 200 and self.response and environ["REQUEST_METHOD"] != "HEAD"
        if not ordinary or BODY_KEY not in environ:
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
        if asked or how != {"return_rule": True} or len(self.path_info) > LONGEST_PATH:
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
        if request is None and self.config["SERVER_NAME"] is None:
            return None
        if request is None or "HTTP_UPGRADE" in request.environ:
            return super().create_url_adapter(request)
        adapter = Adapter(self.url_map, "", "/", "", request.scheme, request.path, request.method)
        adapter.remembered = self._remembered
        return adapter

    @cached_property
    def hooks_of_blueprints(self) -> bool:
        """Whether any blueprint wants to be asked before or after its requests; Flask lets none come later."""
        found = (self.before_request_funcs, self.after_request_funcs, self.url_value_preprocessors)
        return any(name is not None for hooks in found for name in hooks)

    def preprocess_request(self) -> ResponseReturnValue | None:
        """Call the hooks of the app; Flask looks for blueprints' too, and through proxies."""
        if self.hooks_of_blueprints or self.url_value_preprocessors:
            return super().preprocess_request()
        for hook in self.before_request_funcs.get(None, ()):
            if (answer := hook()) is not None:
                return answer  # type: ignore[return-value]
        return None

    def process_response(self, response: Response) -> Response:
        """Call the hooks of this request and of the app; there is no session to be kept."""
        if self.hooks_of_blueprints:
            return super().process_response(response)
        for hook in itself(request_ctx)._after_request_functions:
            response = hook(response)  # type: ignore[assignment]
        for hook in reversed(self.after_request_funcs.get(None, ())):
            response = hook(response)
        return response

    def do_teardown_request(self, exc: BaseException | None = None) -> None:
        """Say that a request is over, where anybody wants to know."""
        if self.teardown_request_funcs or request_tearing_down.receivers:
            super().do_teardown_request(exc)

    def do_teardown_appcontext(self, exc: BaseException | None = None) -> None:
        """The same of its context."""
        if self.teardown_appcontext_funcs or appcontext_tearing_down.receivers:
            super().do_teardown_appcontext(exc)
