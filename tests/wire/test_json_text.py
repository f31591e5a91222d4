import json
import math
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.errors import BadInput, ServingError
from serving.wire.json_exact import Reader
from serving.wire.json_text import quoted, type_name
from serving.wire.json_unusual import parse_unusual
from serving.wire.rest_json import parse
from tests.wire.strategies import bounded, damaged

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
TOKENS = [
    *(b"{ } [ ] , : - 1 1.5 1e e5 0 01 true nul NaN Inf Infinity -Infinity 1e999 12345678901234567890".split()),
    *(b'" "a" "\\n" "\\q" \\u12 "\\ud800" \xc3\xa4 \xff [2,3] {"k": ,"k":'.split()),
    *b"-NaN -Inf Inf5 5Inf -0e8 0e8 -0e9 0e9 1.0e9".split(),
    *rb'"\ud83d\ude00" "\\\ud83d" "\\ud83d" \ud83d \ude00 {"\ud83d": \ '.split(),
    b'"Inf, -Inf, 0e9 ',
    b'{"\xff":',
    b" ",
    b"\x01",
]


@pytest.mark.parametrize(
    ("body", "what", "offset"),
    [
        (b"  ", "The document is empty.", 2),
        (b"]", "The document is empty.", 0),
        (b"this", "Invalid value.", 1),
        (b"-", "Invalid value.", 1),
        (b'{"a": nul}', "Invalid value.", 9),
        (b'{"a": Infi}', "Invalid value.", 10),
        (b'{"a": Na}', "Invalid value.", 8),
        (b'{"a": +1}', "Invalid value.", 6),
        (b'{"a":}', "Invalid value.", 5),
        (b"[1,]", "Invalid value.", 3),
        (b"[,1]", "Invalid value.", 1),
        (b"[1,2", "Missing a comma or ] after an array element.", 4),
        (b'{"instances": [1,2 3]}', "Missing a comma or ] after an array element.", 19),
        (b'{"a":01}', "Missing a comma or } after an object member.", 6),
        (b'{"a":1', "Missing a comma or } after an object member.", 6),
        (b'{"a" 1}', "Missing a colon after a name of object member.", 5),
        (b"{1:2}", "Missing a name for object member.", 1),
        (b'{"a":1,}', "Missing a name for object member.", 7),
        (b'{"a": 1.}', "Miss fraction part in number.", 8),
        (b'{"a":1e+}', "Miss exponent in number.", 8),
        (b'{"a":1e999}', "Number too big to be stored in double.", 5),
        (rb'{"a":"\x"}', "Invalid escape character in string.", 6),
        (rb'{"a":"\u12g4"}', r"Incorrect hex digit after \u escape in string.", 6),
        (rb'{"a":"\ud800"}', "The surrogate pair in string is invalid.", 6),
        (rb'{"a":"\ud800\u0041"}', "The surrogate pair in string is invalid.", 6),
        (rb'{"a":"\udc00"}', "The surrogate pair in string is invalid.", 6),
        (b'{"a":"x', "Missing a closing quotation mark in string.", 7),
        (b'{"a":"\n"}', "Invalid encoding in string.", 6),
        (b'{"a":\x00 1}', "Invalid value.", 5),
        ("{'ä': 1}".encode(), "Missing a name for object member.", 1),
        ('{"ä" 1}'.encode(), "Missing a colon after a name of object member.", 6),
    ],
)
def test_a_syntax_error_has_rapidjsons_words_and_byte_offset(body: bytes, what: str, offset: int) -> None:
    with pytest.raises(BadInput) as refused:
        parse(body)

    assert refused.value.message == f"JSON Parse error: {what} at offset: {offset}"


def test_an_empty_body_says_so() -> None:
    with pytest.raises(BadInput, match=r"^JSON Parse error: The document is empty$"):
        parse(b"")


@pytest.mark.parametrize(
    ("body", "shown"), [(b"[1, 2.5]", "[1, 2.5]"), (b'"a"', '"a"'), (b"null", "null"), (b"7", "7")]
)
def test_anything_but_an_object_is_quoted_back(body: bytes, shown: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse(body)

    assert refused.value.message == f"JSON Value: {shown} Is not object"


def test_numbers_that_json_lacks_are_read() -> None:
    numbers = parse(b'{"a": [NaN, -NaN, Infinity, -Infinity, Inf, -Inf, 1]}')["a"]

    assert all(math.isnan(number) for number in numbers[:2])
    assert numbers[2:] == [math.inf, -math.inf, math.inf, -math.inf, 1]


@pytest.mark.parametrize("tail", [b"", b" NaN"], ids=["fast", "exact"])
def test_whole_numbers_keep_64_bits_and_stay_apart_from_decimal_ones(tail: bytes) -> None:
    numbers = parse(b'{"a": [9223372036854775807, -9223372036854775808, 18446744073709551615, 1, 1.0, 1e0]}' + tail)[
        "a"
    ]

    assert numbers[:4] == [2**63 - 1, -(2**63), 2**64 - 1, 1]
    assert [type(number) for number in numbers] == [int] * 4 + [float] * 2


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**300], ids=["above", "below", "far"])
@pytest.mark.parametrize("tail", [b"", b" x"], ids=["fast", "exact"])
def test_whole_numbers_beyond_64_bits_are_doubles(number: int, tail: bytes) -> None:
    assert parse(b'{"a": %d}' % number + tail) == {"a": float(number)}


def test_text_after_the_closing_brace_is_ignored() -> None:
    assert parse(b'{"a": 1} and more }') == {"a": 1}


def test_a_byte_order_mark_is_skipped() -> None:
    assert parse(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}


def test_a_mistake_at_the_end_of_a_long_text_is_found() -> None:
    rows = b'{"instances": [' + b'{"a": [1, 2, "x"], "b": {}}, ' * 100_000

    with pytest.raises(BadInput, match=f"^JSON Parse error: Invalid value. at offset: {len(rows) + 1}$"):
        parse(rows + b"nix")


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (b"[" * 2**20 + b"]" * 2**20, "deep nesting in a text of 2097159 bytes"),
        (b"1" * 2**20, "a number too big for a double in a text of 1048583 bytes"),
        (b"[1e999, " + b" " * 2**20 + b"1]", "a number too big for a double in a text of 1048593 bytes"),
    ],
    ids=["deep", "long", "large"],
)
def test_what_is_only_read_exactly_has_a_limit_and_is_named(value: bytes, found: str) -> None:
    with pytest.raises(BadInput, match=f"^JSON Parse error: {found}; "):
        parse(b'{"a": ' + value + b"}")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (rb'"\ud83d\ude00 \\ud83d \\\ud83d\uDE00 \\"', "\U0001f600 \\ud83d \\\U0001f600 \\"),
        (b"[Inf, -Inf,Inf\t, 0e9, -0e9, -0e8, 1.0e9]", [math.inf, -math.inf, math.inf, 0.0, -0.0, -0.0, 1e9]),
        (b'["Inf, -Inf , 0e9 \\" Inf ", Inf, {"k":-Inf}]', ['Inf, -Inf , 0e9 " Inf ', math.inf, {"k": -math.inf}]),
        (b'["\xff", {"\xff": 18446744073709551616}]', ["\udcff", {"?": 2.0**64}]),
    ],
    ids=["pairs", "infinities", "in strings", "not UTF-8"],
)
def test_unusual_things_are_read_in_texts_of_any_size(text: bytes, value: Any) -> None:
    found = parse(b'{"a": ' + text + b', "b": [NaN, -NaN, "' + b"x" * 2**20 + b'"]}')

    assert repr(found["a"]) == repr(value)
    assert all(math.isnan(number) for number in found["b"][:2])
    assert found["b"][2] == "x" * 2**20


@pytest.mark.parametrize(
    "half", [rb"\ud83d", rb"\ude00", rb"\\\ud83d\u0041", rb"\ud83d\ud83d\ude00\ude00", rb"\ud83d\\\ude00"]
)
def test_half_a_pair_is_found_in_texts_of_any_size(half: bytes) -> None:
    before = b'{"a": [NaN, "' + rb"\ud83d\ude00" * 2**18
    offset = len(before) + (2 if half.startswith(b"\\\\") else 0)

    with pytest.raises(
        BadInput, match=f"^JSON Parse error: The surrogate pair in string is invalid. at offset: {offset}$"
    ):
        parse(before + half + b'"]}')


def test_half_a_pair_after_the_closing_brace_is_ignored() -> None:
    assert parse(rb'{"a": 1} "\ud83d"') == {"a": 1}


def test_a_mistake_in_a_string_of_many_escapes_is_found() -> None:
    before = b'{"a": [Inf, "' + rb"\"" * 2**20  # hours, if a string were looked for at each of them

    with pytest.raises(
        BadInput, match=f"^JSON Parse error: Invalid escape character in string. at offset: {len(before)}$"
    ):
        parse(before + rb"\q")


def test_nesting_may_be_deep() -> None:
    value: Any = parse(b'{"a": ' + b"[" * 200_000 + b"1" + b"]" * 200_000 + b"}")["a"]

    depth = 0
    while isinstance(value, list):
        value, depth = value[0], depth + 1
    assert (value, depth) == (1, 200_000)


def test_strings_that_are_not_utf8_keep_their_bytes() -> None:
    assert parse(b'{"a": "\xff\\n\\u00e4"}')["a"].encode("utf-8", "surrogateescape") == b"\xff\n\xc3\xa4"


@given(VALUES)
@bounded
def test_the_exact_parser_agrees_with_the_library(value: Any) -> None:
    text = json.dumps(value, ensure_ascii=False)

    assert parse_unusual(text.encode("utf-8", "surrogatepass")) == json.loads(text)


@given(VALUES)
@bounded
def test_both_parsers_agree(value: Any) -> None:
    text = json.dumps({"a": value}).encode()

    assert parse(text) == parse_unusual(text) == {"a": value}


@given(damaged(VALUES.map(lambda value: json.dumps({"a": value, "b": [math.nan]}, ensure_ascii=False).encode())))
@bounded
def test_a_damaged_text_is_read_quickly_as_token_by_token(body: bytes) -> None:
    assert_read_alike(body)


@given(st.lists(st.sampled_from(TOKENS), max_size=14).map(b"".join), st.sampled_from([b"", b'{"a": [{"b": ']))
@bounded
def test_tokens_in_any_order_are_read_quickly_as_token_by_token(tokens: bytes, before: bytes) -> None:
    assert_read_alike(before + tokens)


def assert_read_alike(body: bytes) -> None:
    text = body.partition(b"\0")[0].decode("utf-8", "surrogateescape")  # a byte of zero ends the text

    assert outcome(lambda: parse_unusual(body)) == outcome(lambda: Reader(text).read())


def outcome(read: Callable[[], Any]) -> str:
    try:
        return repr(read())
    except BadInput as error:
        return error.message


@given(st.binary(max_size=30) | damaged(VALUES.map(lambda value: json.dumps({"instances": value}).encode())))
@bounded
def test_any_bytes_are_an_object_or_an_error_of_the_family(body: bytes) -> None:
    with suppress(ServingError):
        assert isinstance(parse(body), dict)


def test_a_long_or_deep_value_is_quoted_in_part() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]

    assert len(quoted(deep)) < 300
    assert len(quoted({"a": "x" * 10_000_000})) < 300
    assert quoted({"a": [1, 2.5, None, True, "\udcff"]}) == '{"a": [1, 2.5, null, true, "?"]}'


def test_types_have_rapidjsons_names() -> None:
    values: list[Any] = [None, False, True, {}, [], "", 1, 1.5]

    assert [type_name(value) for value in values] == [
        "Null",
        "False",
        "True",
        "Object",
        "Array",
        "String",
        "Number",
        "Number",
    ]
