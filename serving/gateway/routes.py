"""The API: classify, and what there is to ask. Read, prepare, ask, answer.

Opening bodies is `bodies.py`'s, the journey to the model `classify.py`'s, failures `app.py`'s.
"""

from functools import partial

import orjson
from flask import Blueprint, Request, Response, request

from serving.card import ModelCard
from serving.errors import BadInput, Code, NoCard, NotFound
from serving.gateway import documents, problems
from serving.gateway.access_log import ms
from serving.gateway.application import Whole, itself
from serving.gateway.bodies import Body, read_body
from serving.gateway.classify import Answer, Question, classify, predictions
from serving.gateway.exchange import BODY_KEY, ENVIRON_KEY, Exchange
from serving.gateway.sampling import Sample
from serving.gateway.services import exchange, services
from serving.gateway.upstream import ModelStatus, VersionState

api = Blueprint("api", __name__, url_prefix="/v1/models")

MOST_TOP = 1000
CODES = {code.value: code.name for code in Code}


@api.post("/<model>/classify")
def classify_items(model: str) -> Response:
    """Name what is in each picture, or what each text says: the best labels with their probabilities."""
    own, sent = services(), itself(request)
    current: Exchange = sent.environ[ENVIRON_KEY]
    asked = own.routing.routed(question(model, sent), current)
    answer = classify(asked, partial(_read_body, sent, own.config.max_items), own.upstream, current)
    ranked = predictions(answer, asked)
    if ranked:
        own.metrics.predicted(answer.card, model, ranked)
    if (pixels := answer.prepared.inputs.get("image")) is not None:
        own.metrics.pictured(answer.card, model, pixels, answer.prepared.sides)
    if (rule := own.routing.rule(model)) is not None:
        current.afterwards.append(partial(own.shadow.offer, rule, model, answer))
    if own.sampler is not None and ranked:
        current.afterwards.append(partial(own.sampler.offer, Sample(model, current.request_id, answer, ranked)))
    return encoded(asked, answer, ranked, current)


def _read_body(sent: Request, max_items: int, card: ModelCard) -> Body:
    environ = sent.environ
    data = environ[BODY_KEY] if BODY_KEY in environ else sent.get_data(cache=False)
    encoding = environ.get("HTTP_CONTENT_ENCODING", "").lower()
    return read_body(data, environ.get("CONTENT_TYPE", ""), encoding, card, max_items)


def question(model: str, sent: Request) -> Question:
    """What the URL asks for.

    Raises:
        BadInput: a parameter that is unknown or makes no sense; the text names it.
    """
    if not sent.query_string:
        return Question(model=model)
    given = sent.args
    if unknown := sorted(set(given) - {"top", "version", "label", "partial", "view"}):
        raise BadInput(f"unknown parameter {unknown[0][:40]!r}; there are top, version, label, partial and view")
    version = _number("version", 1, 2**63 - 1)
    label = given.get("label")
    if version is not None and label is not None:
        raise BadInput("version and label both choose the version; give one of them")
    top = _number("top", 1, MOST_TOP) or 5
    return Question(
        model=model, version=version, label=label, top=top, partial=_boolean("partial"), view=_boolean("view")
    )


def _boolean(name: str) -> bool:
    text = request.args.get(name, "false").lower()
    if text not in {"true", "false", "1", "0"}:
        raise BadInput(f"{name} must be true or false, not {text[:40]!r}")
    return text in {"true", "1"}


def _number(name: str, least: int, most: int) -> int | None:
    text = request.args.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 20 and least <= int(text) <= most):
        raise BadInput(f"{name} must be a whole number from {least} to {most}, not {text[:40]!r}")
    return int(text)


def encoded(asked: Question, answer: Answer, ranked: list[documents.Said], current: Exchange) -> Response:
    """The answer as JSON: one prediction per item in the order sent; with `partial`, problems between them."""
    before = current.total_s()
    rows = iter(ranked)
    failures = answer.prepared.failures
    said: list[documents.Said | documents.Failed] = []
    for index in range(len(failures) + len(answer.prepared.rows)):
        if index in failures:
            said.append({"error": problems.members(failures[index], current.request_id, index)})
        else:
            said.append(next(rows))
    total_s = current.total_s()
    current.encode_s = total_s - before
    timing: documents.Timing = {
        "decode": ms(current.decode_s),
        "queue": ms(current.queue_s),
        "predict": ms(current.predict_s),
        "total": ms(total_s),
    }
    document: documents.Classification = {
        "model": asked.model,
        "version": answer.card.version,
        "predictions": said,
        "timing_ms": timing,
        "request_id": current.request_id,
    }
    return Whole(orjson.dumps(document), content_type="application/json")


@api.get("")
def list_models() -> Response:
    """Every model that the caller may ask, with its task and labels, its versions and their states."""
    keys, key = services().keys, exchange().key
    allowed = [status for status in services().upstream.models() if keys.may_ask(key, status.name)]
    document: documents.Listing = {"models": [_summary(status) for status in allowed]}
    return Whole(orjson.dumps(document), content_type="application/json")


@api.get("/<model>")
def show_model(model: str) -> Response:
    """One model: the card of the version that answers, or of the one asked for, and the state of every version."""
    version = _number("version", 1, 2**63 - 1)
    card = _card(model) if version is None else services().upstream.card(model, version, exchange().deadline)
    status = next((entry for entry in services().upstream.models() if entry.name == model), None)
    if status is None or not status.versions:
        raise NotFound(f"there is no model {model}; GET /v1/models lists what there is")
    exchange().model = model
    sampler = services().sampler
    document: documents.Model = {
        "model": model,
        "state": status.versions[0].state if not status.available else "AVAILABLE",
        "version": version or (status.available[0] if status.available else None),
        "version_labels": status.labels,
        "card": card,
        "sampling": None if sampler is None else sampler.described(),
        "model_version_status": [as_tensorflow_serving(entry) for entry in status.versions],
    }
    return Whole(orjson.dumps(document), content_type="application/json")


def _summary(status: ModelStatus) -> documents.ModelSummary:
    card = _card(status.name)
    return {
        "name": status.name,
        "task": None if card is None else card.task,
        "labels": None if card is None else list(card.labels),
        "version_labels": status.labels,
        "versions": [_version(entry) for entry in status.versions],
    }


def _version(entry: VersionState) -> documents.Version:
    found: documents.Version = {"version": entry.version, "state": entry.state}
    if entry.message:
        found["error"] = entry.message
    return found


def _card(model: str) -> ModelCard | None:
    try:
        return services().upstream.card(model, None, exchange().deadline)
    except (NoCard, NotFound):
        return None


def as_tensorflow_serving(entry: VersionState) -> documents.ServingVersion:
    """One version as TensorFlow Serving's REST status says it."""
    status: documents.ServingStatus = {"error_code": CODES.get(entry.code, "UNKNOWN"), "error_message": entry.message}
    return {"version": str(entry.version), "state": entry.state, "status": status}
