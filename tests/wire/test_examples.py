import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.errors import BadInput, ServingError
from serving.wire.examples import serialized_examples
from serving.wire.protos import Example, Input
from serving.wire.rest_json import examples, parse
from tests.wire.strategies import bounded


def read(text: str) -> Input:
    return examples(parse(text.encode()))


def refusal(text: str) -> str:
    with pytest.raises(BadInput) as refused:
        read(text)
    return refused.value.message


def features(content: bytes) -> dict[str, list[Any]]:
    read_back = Example.FromString(content).features.feature
    return {name: list(getattr(read_back[name], read_back[name].WhichOneof("kind")).value) for name in read_back}


class TestVector:
    def test_every_example_is_one_element(self) -> None:
        vector = serialized_examples(read('{"examples": [{"a": 1}, {"a": [2.5, 3.0]}, {}]}'))

        assert vector.shape == (3,)
        assert [features(content) for content in vector] == [{"a": [1]}, {"a": [2.5, 3.0]}, {}]

    def test_the_context_stands_in_every_example_and_the_examples_own_value_wins(self) -> None:
        message = read('{"context": {"a": "c", "b": 1}, "examples": [{"x": 1}, {"a": "own"}]}')

        vector = serialized_examples(message)

        assert [features(content) for content in vector] == [
            {"a": [b"c"], "b": [1], "x": [1]},
            {"a": [b"own"], "b": [1]},
        ]

    def test_no_examples_is_an_empty_input(self) -> None:
        context_alone = Input()
        context_alone.example_list_with_context.context.features.feature["a"].int64_list.value.append(1)
        listed = Input()
        listed.example_list.SetInParent()

        for message in (Input(), listed, context_alone):
            with pytest.raises(BadInput, match=r"^Input is empty\.$"):
                serialized_examples(message)


class TestJson:
    def test_the_way_a_value_is_written_gives_its_kind(self) -> None:
        (content,) = serialized_examples(
            read('{"examples": [{"i": [2, true, false], "f": [2.0, 1e3], "s": ["x", {"b64": "/w=="}], "one": 7}]}')
        )

        assert features(content) == {"i": [2, 1, 0], "f": [2.0, 1000.0], "s": [b"x", b"\xff"], "one": [7]}

    def test_not_a_number_and_infinity_are_floats(self) -> None:
        (content,) = serialized_examples(read('{"examples": [{"f": [Infinity, NaN, 1e300]}]}'))

        assert str(features(content)["f"]) == "[inf, nan, inf]"

    def test_an_empty_list_is_a_feature_without_a_kind(self) -> None:
        example = read('{"examples": [{"a": []}]}').example_list.examples[0]

        assert example.features.feature["a"].WhichOneof("kind") is None

    @pytest.mark.parametrize(
        ("body", "text"),
        [
            ("{}", "JSON Value: {} When method is classify, key 'examples' is expected and was not found"),
            ('{"examples": 1}', "JSON Value: {\"examples\": 1} Expecting 'examples' value to be an list/array"),
            ('{"examples": []}', "JSON Value: {\"examples\": []} 'examples' value is an empty array"),
            ('{"examples": [5]}', "Example must be JSON object but got JSON Number"),
            ('{"context": [], "examples": [{}]}', "Example must be JSON object but got JSON Array"),
            ('{"examples": [{"f": [1, 2.0]}]}', "Unexpected element type in feature: f expecting type: int64"),
            ('{"examples": [{"f": [1.5, "a"]}]}', "Unexpected element type in feature: f expecting type: float"),
            ('{"examples": [{"f": ["a", true]}]}', "Unexpected element type in feature: f expecting type: bytes"),
            ('{"examples": [{"f": null}]}', "Feature: f has element with unexpected JSON type: Null"),
            ('{"examples": [{"f": {"x": 1}}]}', "Feature: f has element with unexpected JSON type: Object"),
            ('{"examples": [{"f": [[1]]}]}', "Feature: f has element with unexpected JSON type: Array"),
            (
                '{"examples": [{"f": 9223372036854775808}]}',
                "Feature: f has uint64_t element. Only int64_t is supported.",
            ),
            ('{"examples": [{"f": {"b64": "?"}}]}', "Unable to base64 decode"),
        ],
    )
    def test_a_bad_example_is_explained(self, body: str, text: str) -> None:
        assert refusal(body) == text

    @given(
        st.dictionaries(
            st.sampled_from(["examples", "context"]),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
                lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
                max_leaves=10,
            ),
        )
    )
    @bounded
    def test_any_document_is_examples_or_an_error_of_the_family(self, document: dict[str, Any]) -> None:
        with suppress(ServingError):
            assert len(serialized_examples(read(json.dumps(document))))
