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
8. A text's ids, in the order of the token at which they end: the token, then (orders > 1) the pair, then (orders > 2)
   the triple. With `unique` each id is kept only where it comes last. With `length` the first so many are kept.
   Rows of a batch are padded with 2**bits.
"""

import re
from collections.abc import Iterator, Sequence

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
_IN_NO_TOKEN = bytes(byte for byte in range(256) if KINDS[byte] in (SEPARATOR, APOSTROPHE))
"""An apostrophe that belongs to a word has other bytes of it beside it."""

_NONE = -1
"""Stands where a text's first tokens end no pair or triple."""
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
    (ids,) = _rows([_cleaned(_checked(text, spec))], spec)
    if not len(ids):
        raise _nothing_to_read()
    return ids[: spec.length]


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
        for ids in _rows(chunk, spec):
            if not len(ids):
                raise _nothing_to_read(f"text {len(rows)}")
            rows.append(ids[: spec.length])
    if len(rows) == 1 and not spec.length:
        return rows[0][None]
    batch = np.full((len(rows), spec.length or max(map(len, rows), default=1)), 1 << spec.bits, np.int32)
    for row, found in zip(batch, rows, strict=True):
        row[: len(found)] = found
    return batch


def hold_words(text: bytes) -> None:
    """Raise TooMuchToProcess if `to_ids` would, since there is nothing to read; in a hundredth of its time."""
    if not _cleaned(text).translate(None, _IN_NO_TOKEN):
        raise _nothing_to_read()


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


def _n_grams(words: NDArray[np.uint64], begins: NDArray[np.intp], spec: TextInput) -> NDArray[np.int32]:
    """int32 [n]: the ids of all tokens, pairs and triples (steps 6 to 8) of the texts that begin at these tokens."""
    if spec.orders == 1:
        return _shorten(words, spec.bits)
    grams = np.zeros((spec.orders, len(words) + 1), np.uint64)
    grams[0, :-1] = words
    pairs = words[:-1] * np.uint64(MIX_2)
    pairs += words[1:]
    grams[1, 1:-1] = pairs
    if spec.orders == 3:
        grams[2, 2:-1] = pairs[:-1] * np.uint64(MIX_2) + words[2:] * np.uint64(MIX_3)
    ids = _shorten(grams, spec.bits)
    ids[1:, begins] = _NONE
    ids[2:, begins + 1] = _NONE
    line = ids[:, :-1].T.reshape(-1)
    found: NDArray[np.int32] = line[line != _NONE]
    return found


def _shorten(grams: NDArray[np.uint64], bits: int) -> NDArray[np.int32]:
    """The topmost bits of the mixed hash (step 7)."""
    mixed = grams >> np.uint64(29)
    mixed ^= grams
    mixed *= np.uint64(MIX_2)
    mixed >>= np.uint64(64 - bits)
    return mixed.astype(np.int32)


def _comes_last(ids: NDArray[np.int32], texts: NDArray[np.intp] | None = None) -> NDArray[np.bool_]:
    """Whether the same id does not come again later, in the same of several texts."""
    keys = ids.astype(np.int64)
    keys <<= 32
    keys |= np.arange(len(ids))
    keys.sort()
    again = (keys[1:] ^ keys[:-1]) < 1 << 32
    if texts is not None:
        owners = texts[keys & 0xFFFFFFFF]
        again &= owners[1:] == owners[:-1]
    last = np.ones(len(ids), np.bool_)
    last[keys[:-1][again] & 0xFFFFFFFF] = False
    return last


def _rows(texts: list[bytes], spec: TextInput) -> Iterator[NDArray[np.int32]]:
    """The ids of every text, hashed as one with separators between: together they may have LONGEST bytes."""
    words, starts = _hash_tokens(b"\n".join(texts))
    if len(texts) == 1:
        ids = _n_grams(words, np.zeros(min(1, len(words)), np.intp), spec)
        yield ids[_comes_last(ids)] if spec.unique else ids
        return
    ends = np.searchsorted(starts, np.cumsum([len(text) + 1 for text in texts]))
    counts = np.diff(ends, prepend=0)
    ids = _n_grams(words, (ends - counts)[counts > 0], spec)
    sizes = sum(np.maximum(counts - order, 0) for order in range(spec.orders))
    if spec.unique:
        owners = np.repeat(np.arange(len(texts)), sizes)
        last = _comes_last(ids, owners)
        ids, sizes = ids[last], np.bincount(owners[last], minlength=len(texts))
    begin = 0
    for size in sizes.tolist():
        yield ids[begin : begin + size]
        begin += size


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
