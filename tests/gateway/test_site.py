"""The pages: whole, self-contained, under a strict policy."""

import re

import pytest

from tests.gateway.caller import Caller

PAGES = ["/", "/docs"]
ASSETS = ["/pages/app.js", "/pages/docs.js", "/pages/style.css", "/openapi.json"]


@pytest.mark.parametrize("path", PAGES + ASSETS)
def test_every_page_is_served_under_a_strict_policy(gateway: Caller, path: str) -> None:
    answer = gateway.ask(path)

    assert answer.status == 200
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", PAGES + ASSETS[:3])
def test_nothing_is_fetched_from_another_address(gateway: Caller, path: str) -> None:
    text = gateway.ask(path).body.decode()

    assert not re.findall(r"(?:src|href|url|import|fetch)\W{1,3}(?:https?:)?//", text)


@pytest.mark.parametrize("path", PAGES)
def test_a_page_has_no_script_or_style_of_its_own_and_all_it_names_exists(gateway: Caller, path: str) -> None:
    text = gateway.ask(path).body.decode()

    assert not re.search(r"<script(?![^>]*src=)|<style|\son[a-z]+=|style=", text)
    for name in re.findall(r'(?:src|href)="(/[^"#]*)"', text):
        assert gateway.ask(name).status == 200, name


def test_a_page_that_has_not_changed_is_not_sent_again(gateway: Caller) -> None:
    tag = gateway.ask("/").headers["etag"]
    again = gateway.ask("/", headers={"If-None-Match": tag})

    assert (again.status, again.body) == (304, b"")


@pytest.mark.parametrize("path", ["/pages/", "/pages/index.html", "/pages/../app.py", "/pages/%2e%2e/app.py"])
def test_nothing_else_of_the_package_is_served(gateway: Caller, path: str) -> None:
    assert gateway.ask(path).status == 404


def test_options_names_the_methods_and_has_no_body(gateway: Caller) -> None:
    answer = gateway.ask("/v1/models/colors/classify", method="OPTIONS")

    assert (answer.status, set(answer.headers["allow"].split(", "))) == (200, {"OPTIONS", "POST"})
    assert (answer.headers["content-length"], answer.body) == ("0", b"")


def test_head_says_how_long_the_answer_would_be(gateway: Caller) -> None:
    whole, head = gateway.ask("/docs"), gateway.ask("/docs", method="HEAD")

    assert (head.status, head.headers["content-length"], head.body) == (200, str(len(whole.body)), b"")
