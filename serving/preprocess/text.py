"""Turn a text into the hashed word n-grams that a text model was trained on.

The gateway and the runtimes without string ops call `to_ids` and `to_batch`; training does too, and
`training/text_graph.py` says the same in TensorFlow ops, bit for bit, for versions that take strings.
This room knows bytes and integers; it knows nothing of HTTP, or of what a model makes of the ids.

The algorithm, for whoever writes it in another language. Unsigned 64-bit arithmetic wraps around.

1. Bytes. A text is its UTF-8 bytes; they are never checked, so invalid UTF-8 is read as the bytes it is.
2. Typography, as sequences of bytes, so wherever they stand: U+2018, U+2019, U+0091 and U+0092 become an
   apostrophe; U+0080-U+00A0, U+2000-U+206F and U+3000 (other quotes, dashes, spaces) become a space.
3. Markup becomes a space: `<`, then an ASCII letter, `/` or `!`, then ASCII bytes other than `<` and `>`, then `>`.
4. Kinds. ASCII letters, digits and all bytes from 128 make words. An apostrophe belongs to a word where both its
   neighbors are such bytes and separates elsewhere. The other printable ASCII bytes (33-126) are tokens of one byte.
   Everything else (spaces, control bytes, 127) separates. A word is a longest run of word bytes.
5. Token: h = 0; for each byte b, A-Z lowered: h = h * PRIME + b. Then h = (h ^ h >> 31) * MIX_1.
6. Pair of neighbors a, b: a * MIX_2 + b. Triple a, b, c: (a * MIX_2 + b) * MIX_2 + c * MIX_3.
7. Id of a token, pair or triple g: (g ^ g >> 29) * MIX_2 >> 64 - bits.
8. A text's ids: all tokens in their order, then (orders > 1) all pairs, then (orders > 2) all triples. With
   `unique`: sorted, each once. With `length`: the first so many. Rows of a batch are padded with 2**bits.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.card import TextInput
from serving.errors import TooMuchToProcess

PRIME = 0x9E3779B97F4A7C15
"""Odd, so it has an inverse modulo 2**64."""
MIX_1, MIX_2, MIX_3 = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 0xD6E8FEB86659FD93
LONGEST = 65_535
"""Bytes that the tables below reach; no TextInput allows more."""

SEPARATOR, WORD, SYMBOL, APOSTROPHE = range(4)


def _kinds() -> bytes:
    """The kind of each of the 256 bytes, before an apostrophe has looked at its neighbors."""
    kinds = bytearray(256)
    kinds[33:127] = bytes(WORD if chr(byte).isalnum() else SYMBOL for byte in range(33, 127))
    kinds[128:] = bytes([WORD]) * 128
    kinds[ord("'")] = APOSTROPHE
    return bytes(kinds)


def _powers_of(number: int) -> NDArray[np.uint64]:
    """uint64 [LONGEST + 2]: 1, number, number**2 ... modulo 2**64."""
    steps = np.full(LONGEST + 2, number, np.uint64)
    steps[0] = 1
    return np.multiply.accumulate(steps)


KINDS = _kinds()
POWERS = _powers_of(PRIME)
INVERSES = _powers_of(pow(PRIME, -1, 1 << 64))

TYPOGRAPHIC_APOSTROPHES = re.compile(rb"\xe2\x80[\x98\x99]|\xc2[\x91\x92]")
TYPOGRAPHIC_SPACES = re.compile(rb"\xc2[\x80-\xa0]|\xe2\x80[\x80-\xbf]|\xe2\x81[\x80-\xaf]|\xe3\x80\x80")
MARKUP = re.compile(rb"<[A-Za-z/!][\x00-;=?-\x7f]*>")

_CHUNK_BYTES = 32_768
"""Texts of a batch are hashed together up to about this size, which stays in the processor's cache."""


def to_ids(text: str | bytes, spec: TextInput) -> NDArray[np.int32]:
    """The ids of one text, as the module's docstring defines them.

    Args:
        text: as characters, or as UTF-8.
        spec: the rules, from the model's card.

    Returns:
        int32 [n], each below 2**spec.bits, n at least 1; not padded, at most spec.length.

    Raises:
        TooMuchToProcess: nothing to read (empty, only spaces or markup), or longer than spec.max_bytes.

    Source: training reads every review with this very function; tests/preprocess/test_text.py holds it to golden ids.
    """
    words, _ = _hash_tokens(_cleaned(_checked(text, spec)))
    if not len(words):
        raise _nothing_to_read()
    ids = _shorten(np.concatenate(_n_grams(words, spec.orders)), spec.bits)
    return _distinct(ids)[: spec.length] if spec.unique else ids[: spec.length]


def to_batch(texts: Sequence[str | bytes], spec: TextInput) -> NDArray[np.int32]:
    """The ids of several texts, one row each; the same as `to_ids` of every text, in less time.

    Args:
        texts: N texts, each as characters or as UTF-8.
        spec: the rules, from the model's card.

    Returns:
        int32 [N, L], padded with 2**spec.bits; L is spec.length, or what the longest text has.

    Raises:
        TooMuchToProcess: as `to_ids`; it names the place of the text, counted from 0.
    """
    rows: list[NDArray[np.int32]] = []
    for chunk in _chunks(texts, spec):
        rows.extend(_rows_of(chunk, spec, first=len(rows)))
    width = spec.length or max(map(len, rows), default=0)
    batch = np.full((len(rows), width), 1 << spec.bits, np.int32)
    for place, ids in enumerate(rows):
        batch[place, : len(ids)] = ids
    return batch


def _nothing_to_read(where: str = "the text") -> TooMuchToProcess:
    return TooMuchToProcess(f"nothing to read: {where} holds no word, send at least one")


def _checked(text: str | bytes, spec: TextInput, where: str = "the text") -> bytes:
    """UTF-8 within the limits; a lone surrogate of a JSON string is three bytes like any other."""
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else bytes(text)
    if len(data) > spec.max_bytes:
        raise TooMuchToProcess(
            f"{where} has {len(data)} bytes in UTF-8, more than the {spec.max_bytes} allowed: cut it"
        )
    if not data or data.isspace():
        raise _nothing_to_read(where)
    return data


def _cleaned(data: bytes) -> bytes:
    """Without typography and markup (steps 2 and 3); never longer than before."""
    if not data.isascii():
        data = TYPOGRAPHIC_SPACES.sub(b" ", TYPOGRAPHIC_APOSTROPHES.sub(b"'", data))
    return MARKUP.sub(b" ", data) if b"<" in data else data


def _hash_tokens(data: bytes) -> tuple[NDArray[np.uint64], NDArray[np.intp]]:
    """uint64 [n]: the hashed tokens of at most LONGEST bytes (steps 4 and 5); intp [n]: where each begins."""
    padded = bytearray(b" %b " % data)
    kind = np.frombuffer(padded.translate(KINDS), np.uint8)
    _settle_apostrophes(kind)
    before, after = kind[:-1], kind[1:]
    border = before != after
    starts = ((border | (after == SYMBOL)) & (after != SEPARATOR)).nonzero()[0]
    lasts = ((border | (before == SYMBOL)) & (before != SEPARATOR)).nonzero()[0]
    # With H[i] = sum of byte[j] / PRIME**j up to i, Horner's value of bytes s+1..e is (H[e] - H[s]) * PRIME**e.
    sums = np.add.accumulate(np.frombuffer(padded.lower(), np.uint8) * INVERSES[: len(padded)])
    hashed = (sums[lasts] - sums[starts]) * POWERS[lasts]
    return (hashed ^ (hashed >> np.uint64(31))) * np.uint64(MIX_1), starts


def _settle_apostrophes(kind: NDArray[np.uint8]) -> None:
    """Make each apostrophe, in place, part of a word or a separator."""
    places = (kind == APOSTROPHE).nonzero()[0]
    if len(places):
        kind[places] = (kind[places - 1] == WORD) & (kind[places + 1] == WORD)


def _n_grams(words: NDArray[np.uint64], orders: int) -> list[NDArray[np.uint64]]:
    """The tokens, and where asked their pairs and triples (step 6); too few tokens give none."""
    grams = [words]
    if orders > 1:
        grams.append(words[:-1] * np.uint64(MIX_2) + words[1:])
    if orders > 2:
        grams.append(grams[1][:-1] * np.uint64(MIX_2) + words[2:] * np.uint64(MIX_3))
    return grams


def _shorten(grams: NDArray[np.uint64], bits: int) -> NDArray[np.int32]:
    """The topmost bits of the mixed hash (step 7)."""
    mixed = (grams ^ (grams >> np.uint64(29))) * np.uint64(MIX_2)
    return (mixed >> np.uint64(64 - bits)).astype(np.int32)


def _distinct(ids: NDArray[np.int32]) -> NDArray[np.int32]:
    """Sorted, each once."""
    ids = np.sort(ids)
    new = np.empty(len(ids), np.bool_)
    new[:1] = True
    np.not_equal(ids[1:], ids[:-1], out=new[1:])
    return ids[new]


def _chunks(texts: Sequence[str | bytes], spec: TextInput) -> Iterator[list[bytes]]:
    """The cleaned texts in groups small enough to be hashed as one."""
    group: list[bytes] = []
    size = 0
    for place, text in enumerate(texts):
        data = _cleaned(_checked(text, spec, f"text {place}"))
        if group and size + len(data) > _CHUNK_BYTES:
            yield group
            group, size = [], 0
        group.append(data)
        size += len(data) + 1
    if group:
        yield group


def _rows_of(group: list[bytes], spec: TextInput, first: int) -> Iterator[NDArray[np.int32]]:
    """The ids of every text of a group, hashed as one text with separators between."""
    words, starts = _hash_tokens(b"\n".join(group))
    ids: list[NDArray[Any]] = [_shorten(grams, spec.bits) for grams in _n_grams(words, spec.orders)]
    ends = np.cumsum([len(data) + 1 for data in group])
    begin = 0
    for place, end in enumerate(np.searchsorted(starts, ends).tolist(), first):
        if begin == end:
            raise _nothing_to_read(f"text {place}")
        row = np.concatenate([part[begin : max(begin, end - skipped)] for skipped, part in enumerate(ids)])
        yield _distinct(row)[: spec.length] if spec.unique else row[: spec.length]
        begin = end
