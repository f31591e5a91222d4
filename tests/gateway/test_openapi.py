"""The description of the API: valid, made from the code, and true."""

import json
from typing import Any

import pytest

from serving.gateway.app import create_app
from serving.gateway.passage import passage
from serving.gateway.problems import slug
from tests.gateway.caller import COLORS_CLASSIFY, JPEG, RED, TEXT, Caller


@pytest.fixture(scope="module")
def described(gateway: Caller) -> Any:
    return gateway.ask("/openapi.json").json


def statuses(described: Any, path: str, method: str) -> set[int]:
    return {int(status) for status in described["paths"][path][method]["responses"]}


def test_it_is_what_the_code_says() -> None:
    pytest.importorskip("pydantic", reason="needs pydantic: make install")
    regenerate = pytest.importorskip("serving.gateway.regenerate")

    assert regenerate.FILE.read_text("utf-8") == regenerate.text(), "run: python -m serving.gateway.regenerate"


def test_it_is_valid_openapi(described: Any) -> None:
    validator = pytest.importorskip("openapi_spec_validator", reason="needs openapi-spec-validator: make install")

    validator.validate(described)


def test_every_route_is_described_and_nothing_else(gateway: Caller, described: Any) -> None:
    app = create_app(gateway.gateway.config, gateway.gateway.services.upstream)
    routes = {
        (rule.rule.replace("<", "{").replace(">", "}"), method.lower())
        for rule in app.url_map.iter_rules()
        if not rule.endpoint.startswith("site.")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert routes == {
        (path, method)
        for path, item in described["paths"].items()
        if passage(path) is None
        for method in item
        if method in {"get", "post"}
    }


@pytest.mark.parametrize(
    ("body", "headers", "query"),
    [
        (RED, JPEG, ""),
        (RED, JPEG, "?top=0"),
        (RED, JPEG, "?version=9"),
        (RED, {"Content-Type": "video/mp4"}, ""),
        (b"junk", JPEG, ""),
        ("text", TEXT, ""),
        (b"", JPEG, ""),
        (b"x" * 300_000, JPEG, ""),
    ],
)
def test_every_status_that_comes_is_described(
    gateway: Caller, described: Any, body: bytes | str, headers: dict[str, str], query: str
) -> None:
    answer = gateway.ask(COLORS_CLASSIFY + query, body, headers)

    assert answer.status in statuses(described, "/v1/models/{model}/classify", "post")


def test_the_answer_has_the_described_members(gateway: Caller, described: Any) -> None:
    schemas = described["components"]["schemas"]
    for path, name in [(COLORS_CLASSIFY, "Classification"), ("/v1/models", "Listing"), ("/v1/models/colors", "Model")]:
        answer = gateway.ask(path, RED, JPEG) if path == COLORS_CLASSIFY else gateway.ask(path)
        assert set(answer.json) == set(schemas[name]["properties"])
    problem = gateway.ask("/v1/models/unicorn").json
    assert set(problem) <= set(schemas["Problem"]["properties"])


def test_every_type_of_problem_leads_to_its_entry(gateway: Caller, described: Any) -> None:
    answer = gateway.ask("/v1/models/unicorn")
    page, _, anchor = answer.json["type"].partition("#")

    assert page == "/docs"
    assert described["x-problems"][anchor]["status"] == 404
    assert slug("BodyTooLarge") in described["x-problems"]


def test_the_document_is_plain_json(gateway: Caller) -> None:
    assert json.loads(gateway.ask("/openapi.json").body)["openapi"] == "3.1.0"
