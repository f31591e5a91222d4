import re
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.card import TextInput
from serving.errors import TooMuchToProcess
from serving.preprocess.text import MIX_1, MIX_2, MIX_3, PRIME, hold_words, to_batch, to_ids

WORDS = TextInput(bits=24)
TRIPLES = TextInput(bits=24, orders=3)
DISTINCT = TextInput(bits=24, orders=3, unique=True)

PIECES = [b" ", b"'", b"<br />", b"<", b">", b"</p", b"a", b"Z", b"0", b"\x00", b"\x7f", b"!", b"\xe2\x80\x99"]
PIECES += [b"\xc2\xa0", b"\xe2", b"\x80", b"\xc3\xa9", b"\xff", b"good ", b"\xe3\x80\x80", b"\n"]
nasty_bytes = st.one_of(st.binary(max_size=60), st.lists(st.sampled_from(PIECES), max_size=40).map(b"".join))
rules = st.builds(
    TextInput,
    bits=st.integers(1, 30),
    orders=st.integers(1, 3),
    unique=st.booleans(),
    length=st.none() | st.integers(1, 50),
)


def plain_ids(data: bytes, spec: TextInput) -> list[int]:
    """The algorithm as another language would write it: loops over tokens, whole numbers cut to 64 bits."""
    data = re.sub(rb"\xe2\x80[\x98\x99]|\xc2[\x91\x92]", b"'", data)
    data = re.sub(rb"\xc2[\x80-\xa0]|\xe2\x80[\x80-\xbf]|\xe2\x81[\x80-\xaf]|\xe3\x80\x80", b" ", data)
    data = re.sub(rb"<[A-Za-z/!][\x00-;=?-\x7f]*>", b" ", data).lower()
    letter = rb"[a-z0-9\x80-\xff]"
    found = re.findall(rb"(?:%b|(?<=%b)'(?=%b))+|[!-&(-/:-@\[-`{-~]" % (letter, letter, letter), data)
    tokens = [_hash(token) for token in found]
    grams: list[int] = []
    for place, last in enumerate(tokens):
        grams.append(last)
        if spec.orders > 1 and place > 0:
            grams.append(tokens[place - 1] * MIX_2 + last)
        if spec.orders > 2 and place > 1:
            grams.append((tokens[place - 2] * MIX_2 + tokens[place - 1]) * MIX_2 + last * MIX_3)
    ids = [_cut((_cut(gram) ^ _cut(gram) >> 29) * MIX_2) >> 64 - spec.bits for gram in grams]
    if spec.unique:
        ids = [one for place, one in enumerate(ids) if one not in ids[place + 1 :]]
    return ids[: spec.length]


def _cut(number: int) -> int:
    return number % 2**64


def _hash(token: bytes) -> int:
    value = 0
    for byte in token:
        value = _cut(value * PRIME + byte)
    return _cut((value ^ value >> 31) * MIX_1)


@pytest.fixture(scope="module")
def reviews(shared_data: Path) -> list[bytes]:
    """The first 3,000 reviews of the archive."""
    found: list[bytes] = []
    with tarfile.open(shared_data / "imdb" / "aclImdb_v1.tar.gz", "r|gz") as archive:
        for member in archive:
            if member.isfile() and (file := archive.extractfile(member)):
                found.append(file.read())
            if len(found) == 3000:
                break
    return found


def words(text: str | bytes) -> list[int]:
    found: list[int] = to_ids(text, WORDS).tolist()
    return found


@pytest.mark.parametrize(
    ("text", "spec", "golden"),
    [
        pytest.param("a", WORDS, [16695869], id="one-letter"),
        pytest.param("It wasn't good!", WORDS, [10029575, 5821654, 16075294, 8947882], id="a-sentence"),
        pytest.param(
            "It wasn't good!",
            TRIPLES,
            [10029575, 5821654, 15261703, 16075294, 16423247, 1850985, 8947882, 16389847, 12594572],
            id="triples",
        ),
        pytest.param(
            "caf\u00e9 <br /> \u2019s",
            TextInput(bits=30, orders=2),
            [577546298, 124843722, 423857947],
            id="unicode-and-markup",
        ),
    ],
)
def test_the_ids_never_change(text: str, spec: TextInput, golden: list[int]) -> None:
    assert to_ids(text, spec).tolist() == golden


@settings(deadline=None, max_examples=300)
@given(nasty_bytes, rules)
def test_the_ids_are_those_of_the_plain_algorithm(data: bytes, spec: TextInput) -> None:
    expected = plain_ids(data, spec)

    if expected:
        assert to_ids(data, spec).tolist() == expected
    else:
        with pytest.raises(TooMuchToProcess, match="nothing to read"):
            to_ids(data, spec)


@settings(deadline=None)
@given(nasty_bytes)
def test_the_quick_look_for_words_agrees_with_the_ids(data: bytes) -> None:
    if plain_ids(data, WORDS):
        hold_words(data)
    else:
        with pytest.raises(TooMuchToProcess, match="nothing to read"):
            hold_words(data)


@settings(deadline=None)
@given(nasty_bytes, rules)
def test_one_text_alone_is_a_batch_of_its_ids(data: bytes, spec: TextInput) -> None:
    ids = plain_ids(data, spec)
    if ids and spec.length is None:
        batch = to_batch([data], spec)
        assert (batch.dtype, batch.tolist(), batch.flags.c_contiguous) == (np.dtype(np.int32), [ids], True)


def test_the_ids_of_real_reviews_are_those_of_the_plain_algorithm(reviews: list[bytes]) -> None:
    for review in reviews[::10]:
        assert to_ids(review, DISTINCT).tolist() == plain_ids(review, DISTINCT)


@settings(deadline=None)
@given(st.lists(st.text(min_size=1).map(lambda text: f"x{text}"), max_size=8), rules)
def test_a_batch_holds_the_ids_of_each_text_and_padding(texts: list[str], spec: TextInput) -> None:
    batch = to_batch(texts, spec)

    assert batch.dtype == np.int32
    for row, text in zip(batch, texts, strict=True):
        ids = to_ids(text, spec)
        assert row[: len(ids)].tolist() == ids.tolist()
        assert (row[len(ids) :] == 2**spec.bits).all()


def test_a_batch_of_thousands_of_reviews_equals_one_by_one(reviews: list[bytes]) -> None:
    for spec in (TRIPLES, DISTINCT, TextInput(bits=20, length=256)):
        batch = to_batch(reviews, spec)
        for row, review in zip(batch, reviews, strict=True):
            ids = to_ids(review, spec)
            assert np.array_equal(row[: len(ids)], ids)
            assert (row[len(ids) :] == 2**spec.bits).all()


@given(st.text(min_size=1).map(lambda text: f"{text}x"))
def test_characters_and_their_utf8_bytes_are_the_same_text(text: str) -> None:
    assert words(text) == words(text.encode())


def test_every_id_is_below_two_to_the_bits() -> None:
    for bits in (1, 16, 30):
        ids = to_ids("some words, and some more", TextInput(bits=bits, orders=3))
        assert ids.dtype == np.int32
        assert 0 <= ids.min() <= ids.max() < 2**bits


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("GOOD Film", "good film", id="ascii-case"),
        pytest.param("good<br />film", "good film", id="markup"),
        pytest.param("good</B><!-- a note -->film", "good film", id="closing-tag-and-comment"),
        pytest.param("good\x00\x1f\x7f\tfilm", "good film", id="control-bytes"),
        pytest.param("it wasn\u2019t", "it wasn't", id="typographic-apostrophe"),
        pytest.param("\u201cgood\u201d\u2014film\u2026\u00a0", "good film", id="typographic-quotes-and-dash"),
        pytest.param("'good' film'", "good film", id="quotes-of-apostrophes"),
        pytest.param("rock''n'roll", "rock n'roll", id="two-apostrophes"),
    ],
)
def test_what_makes_no_difference(one: str, other: str) -> None:
    assert words(one) == words(other)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        pytest.param("well-made!!", 5, id="symbols-are-tokens"),
        pytest.param("don't", 1, id="an-apostrophe-inside-a-word"),
        pytest.param("caf\u00e9", 1, id="letters-beyond-ascii"),
        pytest.param(b"\xff\xfe\x80 \xc3", 2, id="invalid-utf8-is-read-as-word-bytes"),
        pytest.param("\ud800", 1, id="a-lone-surrogate"),
        pytest.param("a < b > c", 5, id="no-markup-without-a-name"),
        pytest.param("i <3 it", 4, id="a-heart"),
        pytest.param("<b", 2, id="an-open-tag"),
    ],
)
def test_how_many_tokens_a_text_has(text: str | bytes, tokens: int) -> None:
    assert len(words(text)) == tokens


def test_word_order_shows_in_the_pairs() -> None:
    pairs = TextInput(bits=24, orders=2)

    assert sorted(words("not good")) == sorted(words("good not"))
    assert to_ids("not good", pairs)[-1] != to_ids("good not", pairs)[-1]


def test_unique_keeps_each_n_gram_where_it_comes_last() -> None:
    good, bad = words("good bad")

    assert to_ids("good bad good", TextInput(bits=24, unique=True)).tolist() == [bad, good]


def test_length_keeps_the_first_ids_and_pads_the_rest() -> None:
    spec = TextInput(bits=24, length=2)

    assert to_ids("one two three", spec).tolist() == words("one two")
    assert to_batch(["one two three", "one"], spec).tolist() == [words("one two"), [*words("one"), 2**24]]


def test_no_texts_are_an_empty_batch() -> None:
    assert len(to_batch([], WORDS)) == 0


@pytest.mark.parametrize("text", ["", " ", "\n\t ", b"", "<br /><br />", "\x00", "''", "\u2026"])
def test_a_text_with_nothing_to_read_is_refused(text: str | bytes) -> None:
    with pytest.raises(TooMuchToProcess, match="nothing to read: the text"):
        to_ids(text, WORDS)


@pytest.mark.parametrize("empty", ["", "<p>"])
def test_a_batch_names_the_text_with_nothing_to_read(empty: str) -> None:
    with pytest.raises(TooMuchToProcess, match="nothing to read: text 2 "):
        to_batch(["good", "bad", empty], WORDS)


def test_a_text_over_the_limit_is_refused_in_bytes_not_characters() -> None:
    spec = TextInput(bits=24, max_bytes=10)

    assert len(to_ids("a" * 10, spec)) == 1
    with pytest.raises(TooMuchToProcess, match="12 bytes in UTF-8, more than the 10 allowed"):
        to_ids("\u00e9" * 6, spec)
    with pytest.raises(TooMuchToProcess, match="text 1 has 11 bytes"):
        to_batch(["short", "a" * 11], spec)


@pytest.mark.parametrize("piece", [b"a ", b"<a", b"'", b"a'", b"<a>x", b"\xe2\x80", b"!"])
def test_the_longest_text_of_one_piece_is_read_to_its_end(piece: bytes) -> None:
    text = (piece * 65_535)[:65_534] + b"z"

    assert to_ids(text, WORDS).tolist() == plain_ids(text, WORDS)


def test_numpy_is_left_as_it_was_and_warns_of_nothing() -> None:
    before = np.geterr()
    with np.errstate(all="raise"):
        to_batch(["a very good film"] * 3, DISTINCT)

    assert np.geterr() == before
