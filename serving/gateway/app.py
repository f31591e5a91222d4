"""create_app: the gateway as a plain WSGI (Flask) application.

`front.py` runs it under uvicorn with admission, deadlines and the key check done before a thread is
spent. Any other WSGI server can run it too: what the front has not done by then is done here,
except admission. Failures become answers here and nowhere else.
"""

import logging

from flask import Flask, Request, Response, after_this_request, request
from werkzeug.exceptions import HTTPException

from serving.errors import BadInput, NoCard, NotFound, ServingError, UnsupportedKind
from serving.gateway import passage, problems
from serving.gateway.application import Application, Whole, itself
from serving.gateway.config import GatewayConfig
from serving.gateway.exchange import ENVIRON_KEY, TRACEPARENT, Exchange, deadline_of, identify
from serving.gateway.lanes import GUARDED
from serving.gateway.problems import BadItem, Reply
from serving.gateway.routes import api
from serving.gateway.services import Services, attach, build, exchange, services
from serving.gateway.site import site
from serving.gateway.upkeep import upkeep
from serving.gateway.upstream import Upstream

log = logging.getLogger(__name__)

ROUTES = {
    "api.classify_items": "classify",
    "api.list_models": "models",
    "api.show_model": "model",
    "upkeep.livez": "health",
    "upkeep.readyz": "health",
    "upkeep.metrics": "metrics",
}
"""Endpoint to the route's name in metrics and logs; the others are pages."""


def create_app(config: GatewayConfig, upstream: Upstream, ready_made: Services | None = None) -> Flask:
    """The application; `ready_made` services are shared with whoever made them."""
    app = Application("serving.gateway")
    attach(app, ready_made or build(config, upstream))
    app.config["MAX_CONTENT_LENGTH"] = config.max_body_bytes
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False  # else a path with `//` or `%2f` is sent elsewhere by a page in HTML
    app.register_blueprint(api)
    app.register_blueprint(upkeep)
    app.register_blueprint(site)
    app.before_request(_begin)
    app.after_request(_end)
    app.register_error_handler(ServingError, _serving_error)
    app.register_error_handler(BadItem, _bad_item)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _surprise)
    return app


def _begin() -> Response | None:
    """Make sure that there is an Exchange, a known caller and a deadline; answer what is not our own."""
    asked = itself(request)
    current = asked.environ.get(ENVIRON_KEY)
    if current is None:
        current = asked.environ[ENVIRON_KEY] = Exchange()
        after_this_request(_acting_afterwards)
        header = {name.lower(): value for name, value in asked.headers.items()}
        identify(current, header)
        config = services().config
        current.deadline = deadline_of(header, current.arrived, config.default_timeout_s, config.max_timeout_s)
    if asked.url_rule is not None:
        current.route = ROUTES.get(asked.url_rule.endpoint, "page")
    TRACEPARENT.set(current.traceparent)
    through = passage.passage(passage.raw_target(asked.environ).partition("?")[0])
    if through is not None:
        current.route = "rest"
        _authorize(asked, current, through.model)
        return _answer(passage.hand_on(services().upstream.rest, asked.environ, through, current))
    if asked.path.startswith(GUARDED):
        _authorize(asked, current, (asked.view_args or {}).get("model", ""))
    return None


def _acting_afterwards(response: Response) -> Response:
    for act in exchange().afterwards:
        response.call_on_close(act)
    return response


def _authorize(asked: Request, current: Exchange, model: str) -> None:
    if not current.authorized:
        current.key = services().keys.check(asked.headers.get("authorization"))
        current.authorized = True
    if current.key and model:
        services().keys.permit(current.key, model)


def _end(response: Response) -> Response:
    response.headers["x-request-id"] = exchange().request_id
    response.headers["x-content-type-options"] = "nosniff"
    return response


def _answer(reply: Reply) -> Response:
    headers = [(name.decode(), value.decode("latin-1")) for name, value in reply.headers]
    return Whole(reply.body, reply.status, headers)


def _serving_error(error: ServingError, index: int | None = None) -> Response:
    current = exchange()
    current.code = error.code.name
    if isinstance(error, NoCard):
        error = NoCard(_how_to_make_a_card(error.message))
    if not isinstance(error, BadInput | NotFound | UnsupportedKind):
        log.log(logging.ERROR if error.code.name == "INTERNAL" else logging.DEBUG, "%s", error.message)
    return _answer(problems.refusal(error, current.request_id, index))


def _bad_item(bad: BadItem) -> Response:
    return _serving_error(bad.error, bad.index)


def _how_to_make_a_card(message: str) -> str:
    if "python -m training import" in message:
        return message
    model = (request.view_args or {}).get("model", "NAME")
    command = (
        f"python -m training import MODEL --name {model} --labels FILE --task image_classification|text_classification"
    )
    return f"{message}; make one with: {command}"


def _http_error(error: HTTPException) -> Response:
    """What Flask itself refuses: unknown paths, other methods."""
    status = error.code or 500
    exchange().code = {404: "NOT_FOUND", 405: "UNIMPLEMENTED", 413: "INVALID_ARGUMENT"}.get(status, "INVALID_ARGUMENT")
    detail = {404: f"nothing is at {request.path[:200]}; /docs says what there is"}.get(
        status, error.description or error.name
    )
    document = problems.document(status, error.name.capitalize(), detail, exchange().request_id)
    response = _answer(problems.reply(document))
    for name, value in error.get_headers():
        if name.lower() == "allow":
            response.headers["allow"] = value
    if status == 405 and error.valid_methods:  # type: ignore[attr-defined]
        response.headers["allow"] = ", ".join(sorted(error.valid_methods))  # type: ignore[attr-defined]
    return response


def _surprise(error: Exception) -> Response:
    """A fault of our own: the log has the trace, the caller the request id to ask about."""
    current = exchange()
    current.code = "INTERNAL"
    log.exception("request %s failed", current.request_id, exc_info=error)
    document = problems.document(
        500,
        "Internal error",
        "this is a fault of the server; its log has more under the request id",
        current.request_id,
    )
    return _answer(problems.reply(document))
