"""What machines look at: /livez, /readyz and /metrics. No key is needed for them."""

import orjson
from flask import Blueprint, Response, request

from serving.gateway.application import Whole
from serving.gateway.services import services

upkeep = Blueprint("upkeep", __name__)


@upkeep.get("/livez")
def livez() -> Response:
    """Whether the process should go on living; an orchestrator restarts it if not."""
    return _told(services().health.stuck())


@upkeep.get("/readyz")
def readyz() -> Response:
    """Whether requests should be sent here, and what is missing if not."""
    return _told(services().health.missing())


@upkeep.get("/metrics")
def metrics() -> Response:
    """All counters, for Prometheus."""
    body, content_type = services().metrics.page(request.headers.get("accept", ""))
    return Whole(body, content_type=content_type)


def _told(missing: list[str]) -> Response:
    well = not missing
    document = orjson.dumps({"status": "ok" if well else "unavailable", "missing": missing})
    response = Whole(document, 200 if well else 503, mimetype="application/json")
    if not well:
        response.headers["retry-after"] = "1"
    response.headers["cache-control"] = "no-store"
    return response
