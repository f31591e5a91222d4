import random
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from serving.card import TextInput
from serving.preprocess.text import to_batch

tf = pytest.importorskip("tensorflow", reason="needs TensorFlow: make install")

from training import text_graph  # noqa: E402  # needs TensorFlow

RULES = {
    "words": TextInput(bits=24),
    "triples": TextInput(bits=24, orders=3),
    "distinct": TextInput(bits=24, orders=3, unique=True),
    "256 words": TextInput(bits=20, length=256),
    "20 distinct pairs": TextInput(bits=30, orders=2, unique=True, length=20),
    "one bit": TextInput(bits=1, orders=3, unique=True),
}
Graph = Callable[[list[bytes]], np.ndarray]


@pytest.fixture(scope="module", params=RULES)
def spec(request: pytest.FixtureRequest) -> TextInput:
    return RULES[request.param]


@pytest.fixture(scope="module")
def graph(spec: TextInput) -> Graph:
    """The preparation as a graph, as a version carries it."""
    traced = tf.function(lambda texts: text_graph.ids(texts, spec), [tf.TensorSpec([None], tf.string)], autograph=False)
    return lambda texts: traced(tf.constant(texts, tf.string, [len(texts)])).numpy()


def nasty_texts(count: int) -> list[bytes]:
    """Short texts made of what text preparation stumbles over, each with a word in it."""
    chance = random.Random(7)
    pieces = [bytes([byte]) for byte in range(256)]
    pieces += [b"'", b" ", b"a", b"Z", b"<br />", b"<!--", b"-->", b"<", b">", b"good ", b"caf\xc3\xa9"] * 20
    pieces += [b"\xe2\x80\x99", b"\xe2\x80", b"\xc2\x92", b"\xc2", b"\xe3\x80\x80", b"\xf0\x9f\x91\x8d"] * 20
    return [b"x " + b"".join(chance.choices(pieces, k=chance.randrange(60))) for _ in range(count)]


def test_the_graph_gives_the_ids_of_real_reviews(graph: Graph, spec: TextInput, shared_data: Path) -> None:
    reviews: list[bytes] = []
    with tarfile.open(shared_data / "imdb" / "aclImdb_v1.tar.gz", "r|gz") as archive:
        for member in archive:
            if member.isfile() and (file := archive.extractfile(member)):
                reviews.append(file.read())
            if len(reviews) == 3000:
                break
    for begin in range(0, len(reviews), 500):
        some = reviews[begin : begin + 500]
        assert np.array_equal(graph(some), to_batch(some, spec))


def test_the_graph_gives_the_ids_of_nasty_texts(graph: Graph, spec: TextInput) -> None:
    texts = nasty_texts(4000)

    assert np.array_equal(graph(texts), to_batch(texts, spec))


@pytest.mark.parametrize("piece", [b"a ", b"<a", b"<a>x ", b"'", b"\xe2\x80", b"\xe2\x80\x99", b"!"])
def test_the_graph_reads_the_longest_text_to_its_end(graph: Graph, spec: TextInput, piece: bytes) -> None:
    text = (piece * 65_535)[:65_533] + b" z"

    assert np.array_equal(graph([text, b"short"]), to_batch([text, b"short"], spec))


def test_a_text_alone_has_the_ids_that_it_has_in_a_batch(graph: Graph, spec: TextInput) -> None:
    for text in nasty_texts(50):
        assert np.array_equal(graph([text]), to_batch([text], spec))


def test_a_text_with_nothing_to_read_is_a_row_of_padding(graph: Graph, spec: TextInput) -> None:
    batch = graph([b"", b"good", b"<br />", b" "])

    width = batch.shape[1]
    assert batch[[0, 2, 3]].tolist() == [[2**spec.bits] * width] * 3
    assert np.array_equal(batch[[1]], to_batch(["good"], spec))
    assert graph([b""]).shape == (1, spec.length or 1)


def test_no_texts_are_an_empty_batch(graph: Graph) -> None:
    assert len(graph([])) == 0


def test_a_longer_text_is_cut_at_the_cards_limit() -> None:
    spec = TextInput(bits=24, max_bytes=5)

    assert np.array_equal(text_graph.ids(tf.constant([b"good film"]), spec).numpy(), to_batch(["good "], spec))
