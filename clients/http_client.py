"""HttpClient: asks the gateway over HTTP; nothing is prepared here, the gateway does that.

`predict` alone speaks to TensorFlow Serving's REST port as well. What is shared with gRPC is in
client.py, connections in connections.py, refusals in problems.py.
"""

import json
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from clients import json_tensors
from clients.answers import Anomaly, Classification, ModelStatus, Ranked, Value, VersionStatus
from clients.client import Client, Item, Outcome, Question, Tls
from clients.connections import Connections
from clients.problems import error_of, of_document
from serving.card import ModelCard, Task
from serving.errors import NoCard, NotFound, ServingError, Unknown

T = TypeVar("T")

LOOK_AGAIN_S = 5.0
"""The list of models is asked for again this often."""
_WHAT = {"image_classification": "pictures", "text_classification": "texts", "tabular": "rows"}


class HttpClient(Client):
    """Asks a gateway, such as http://127.0.0.1:8080."""

    group_size: Mapping[Task, int] = {"image_classification": 1, "text_classification": 16, "tabular": 64}

    def __init__(
        self,
        url: str = "http://127.0.0.1:8080",
        *,
        timeout_s: float = 10.0,
        attempts: int = 3,
        concurrency: int = 8,
        api_key: str | None = None,
        tls: Tls | None = None,
    ) -> None:
        """Args as in Client; api_key is sent as a bearer token. Nothing is sent yet."""
        super().__init__(timeout_s=timeout_s, attempts=attempts, concurrency=concurrency)
        self._connections = Connections(url, tls=_context(tls) if tls else None, keep=concurrency)
        self._headers = {"Accept": "application/json"}
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._chosen: dict[Task, tuple[str, float]] = {}
        self._types: dict[tuple[str, str], Mapping[str, np.dtype[Any]]] = {}

    def predict(
        self,
        arrays: Mapping[str, NDArray[Any]],
        model: str,
        *,
        signature: str = "serving_default",
        version: int | None = None,
    ) -> dict[str, NDArray[Any]]:
        """Run one signature, as JSON. Strings are arrays of `bytes` objects."""
        path = _path(model, version)
        kinds = self._types.get((path, signature))
        if kinds is None:
            metadata = self._persevere(partial(self._get, f"{path}/metadata"))
            kinds = self._types[path, signature] = _expected(partial(json_tensors.output_types, metadata, signature))
        inputs = {name: json_tensors.as_json(array) for name, array in arrays.items()}
        document = {"signature_name": signature, "inputs": inputs}
        answer = self._persevere(partial(self._post_json, f"{path}:predict", document))
        return _expected(partial(json_tensors.outputs, answer, kinds))

    def card(self, model: str, *, version: int | None = None) -> ModelCard:
        """The card of a version; else of the one that answers now."""
        path = _path(model, None) + (f"?version={version}" if version is not None else "")
        document = self._persevere(partial(self._get, path))
        if not (card := document.get("card")):
            raise NoCard(f"the model {model} has no card; make one with `python -m training import`")
        return ModelCard.from_json(json.dumps(card))

    def status(self, model: str | None = None) -> list[ModelStatus]:
        """Every model of the gateway, or the named one."""
        document = self._persevere(partial(self._get, "/v1/models"))
        found = _expected(lambda: [_status(entry) for entry in document["models"]])
        if model is None:
            return found
        if named := [entry for entry in found if entry.name == model]:
            return named
        raise NotFound(f"there is no model {model}; there are {', '.join(entry.name for entry in found) or 'none'}")

    def metrics(self) -> str:
        """The gateway's page of metrics, in the text format of Prometheus."""
        deadline = time.monotonic() + self.timeout_s
        answer = self._connections.request("GET", "/metrics", None, self._headers | {"Accept": "text/plain"}, deadline)
        if answer.status != 200:
            raise error_of(answer)
        return answer.body.decode("utf-8", "replace")

    def close(self) -> None:
        """Close every connection."""
        self._connections.close()

    def _ask(self, items: Sequence[Item], question: Question, deadline: float) -> list[Outcome | Value]:
        path = f"{_path(question.model or self._first_of(question.task, deadline), None)}/classify?top={question.top}"
        if question.version is not None:
            path += f"&version={question.version}"
        if isinstance(items[0], bytes):
            answer = self._send("POST", path, items[0], "application/octet-stream", deadline)
        else:
            answer = self._post_json(f"{path}&partial=true", {"instances": list(items)}, deadline)
        outcomes = _expected(lambda: [_outcome(answer, entry) for entry in answer["predictions"]])
        if len(outcomes) != len(items):
            raise Unknown(f"the server gave {len(outcomes)} answers to {len(items)} items")
        return outcomes

    def _first_of(self, task: Task, deadline: float) -> str:
        """The first model of the task that has a version to answer, looked up now and then."""
        name, until = self._chosen.get(task, ("", 0.0))
        if time.monotonic() < until:
            return name
        listed = self._get("/v1/models", deadline)
        fitting = [status for entry in listed.get("models", ()) if (status := _status(entry)).task == task]
        ready = next((status for status in fitting if status.available), None)
        if ready is None:
            state = f"{fitting[0].name} is not ready" if fitting else "there is none"
            raise NotFound(f"no model for {_WHAT[task]} can be asked: {state}")
        self._chosen[task] = (ready.name, time.monotonic() + LOOK_AGAIN_S)
        return ready.name

    def _get(self, path: str, deadline: float) -> dict[str, Any]:
        return self._send("GET", path, None, None, deadline)

    def _post_json(self, path: str, document: Any, deadline: float) -> dict[str, Any]:
        return self._send("POST", path, json.dumps(document).encode(), "application/json", deadline)

    def _send(self, method: str, path: str, body: bytes | None, kind: str | None, deadline: float) -> dict[str, Any]:
        left_s = max(0.001, deadline - time.monotonic())
        headers = self._headers | {"X-Request-Timeout": f"{left_s:.3f}"} | ({"Content-Type": kind} if kind else {})
        answer = self._connections.request(method, path, body, headers, deadline)
        if answer.status != 200:
            raise error_of(answer)
        document = _expected(lambda: json.loads(answer.body))
        if not isinstance(document, dict):
            raise Unknown("the server answered JSON that is no object")
        return document


def _context(tls: Tls) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=tls.ca)
    if tls.certificate:
        context.load_cert_chain(tls.certificate, tls.key)
    return context


def _path(model: str, version: int | None) -> str:
    return f"/v1/models/{quote(model, safe='')}" + (f"/versions/{version}" if version is not None else "")


def _expected(read: Callable[[], T]) -> T:
    """Read an answer; one that is not as agreed is an error of the family too."""
    try:
        return read()
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise Unknown(f"the server answered something unexpected ({type(error).__name__}: {error})") from error


def _outcome(answer: dict[str, Any], entry: dict[str, Any]) -> Outcome | Value:
    if (problem := entry.get("error")) is not None:
        failed: ServingError = of_document(problem, int(problem.get("status", 500)))
        return failed
    if "value" in entry:
        return Value(answer["model"], answer["version"], float(entry["value"]))
    top = tuple(Ranked(each["label"], each["probability"]) for each in entry["top"])
    if not top:
        raise ValueError("no label at all")
    unlike = entry.get("anomaly")
    return Classification(answer["model"], answer["version"], top, Anomaly(**unlike) if unlike else None)


def _status(entry: dict[str, Any]) -> ModelStatus:
    versions = (VersionStatus(each["version"], each["state"], each.get("error", "")) for each in entry["versions"])
    return ModelStatus(entry["name"], tuple(versions), entry.get("task"), tuple(entry.get("labels") or ()))
