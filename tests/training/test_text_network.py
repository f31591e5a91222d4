from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving.card import TextInput
from serving.errors import BadInput
from serving.preprocess.text import to_ids
from training.recipe import BuildContext, Examples, RaggedIds

pytest.importorskip("tensorflow", reason="needs TensorFlow: make install")

from training import ngram_network, recipes  # needs TensorFlow
from training.recipes import imdb_embedding

RULES = TextInput(bits=12, orders=2, unique=True)
PADDING = 2**12


def examples(texts: dict[str, int], spec: TextInput) -> Examples:
    ids = [to_ids(text, spec) for text in texts]
    offsets = np.concatenate([[0], np.cumsum([len(one) for one in ids])]).astype(np.int64)
    return Examples(RaggedIds(np.concatenate(ids), offsets), np.array(list(texts.values()), np.int32), list(texts))


REVIEWS = {"a good film": 1, "a very good film": 1, "a bad film": 0, "a very bad bad film": 0}


def context(spec: TextInput, labels: tuple[str, ...] = ("neg", "pos")) -> BuildContext:
    return BuildContext(
        input=spec,
        labels=labels,
        train=examples(REVIEWS, spec),
        seed=0,
        backbone_weights="none",
        settings={"smoothing": 1.0, "min_count": 2},
        cache_dir=Path(),
    )


def id_of(word: str) -> int:
    return int(to_ids(word, RULES)[0])


def test_ratios_favor_the_label_that_an_n_gram_stands_with() -> None:
    ratios = ngram_network.log_count_ratios(examples(REVIEWS, RULES), 12, smoothing=1.0, min_count=2)

    assert ratios[id_of("good")] > 0.5
    assert ratios[id_of("bad")] < -0.5
    assert abs(ratios[id_of("film")]) < 0.2
    assert ratios[PADDING] == 0


def test_n_grams_of_too_few_texts_have_no_ratio() -> None:
    ratios = ngram_network.log_count_ratios(examples(REVIEWS, RULES), 12, smoothing=1.0, min_count=3)

    assert ratios[id_of("good")] == 0


def test_ratios_count_with_the_weights_of_the_network() -> None:
    lengths = np.array([3, 0, 5])
    weights = ngram_network.text_weights(lengths)

    model = ngram_network.build(context(RULES))
    table = model.get_layer("factors")
    table.factors.assign(np.ones(PADDING + 1, np.float32))
    for begin, length in ((0, 3), (3, 5)):
        for place in range(length):
            table.ratios.assign(np.eye(PADDING + 1, dtype=np.float32)[place])
            probability = model.predict_on_batch(np.arange(length, dtype=np.int32)[None])[0, 1]
            assert np.log(probability / (1 - probability)) == pytest.approx(weights[begin + place], rel=1e-3)


@pytest.fixture(scope="module")
def fitted() -> Any:
    """The network after learning the four reviews by heart."""
    model = ngram_network.build(context(RULES))
    model.compile("sgd", "sparse_categorical_crossentropy")
    ids = examples(REVIEWS, RULES).batch(range(4), RULES)
    model.fit(ids, np.array(list(REVIEWS.values())), epochs=30, verbose=0)
    return model


def answer(model: Any, text: str, *, padding: int = 0) -> Any:
    ids = np.pad(to_ids(text, RULES), (0, padding), constant_values=PADDING)
    return np.asarray(model.predict_on_batch(ids[None]))[0]


def test_the_network_learns_its_reviews(fitted: Any) -> None:
    for text, label in REVIEWS.items():
        assert answer(fitted, text).argmax() == label


def test_the_probabilities_of_both_labels_make_one(fitted: Any) -> None:
    assert answer(fitted, "a good film").sum() == pytest.approx(1, abs=1e-6)


def test_padding_changes_nothing(fitted: Any) -> None:
    for model in (fitted, ngram_network.fold(fitted)):
        assert answer(model, "a good film", padding=40) == pytest.approx(answer(model, "a good film"), abs=1e-6)


def test_a_text_without_ids_gets_an_answer(fitted: Any) -> None:
    empty = np.full((1, 3), PADDING, np.int32)

    assert np.isfinite(fitted.predict_on_batch(empty)).all()


def test_the_end_of_a_text_weighs_more(fitted: Any) -> None:
    assert answer(fitted, "bad and then good")[1] > answer(fitted, "good and then bad")[1]


def test_folding_keeps_the_answers_and_one_byte_an_n_gram(fitted: Any) -> None:
    folded = ngram_network.fold(fitted)

    assert [(weight.dtype, weight.shape) for weight in folded.weights] == [("int8", (PADDING + 1,))]
    for text in REVIEWS:
        assert answer(folded, text) == pytest.approx(answer(fitted, text), abs=0.01)


def test_three_labels_are_refused_with_their_number() -> None:
    with pytest.raises(BadInput, match="the data has 3"):
        ngram_network.build(context(RULES, ("bad", "good", "so-so")))


def test_frequent_words_get_slots_and_all_others_share_one() -> None:
    spec = TextInput(bits=12)
    slots = imdb_embedding.word_slots(examples(REVIEWS, spec), 12)

    assert {int(slots[id_of("a")]), int(slots[id_of("film")])} == {2, 3}
    assert slots[id_of("good")] > 3
    assert slots[id_of("unheard")] == imdb_embedding.RARE
    assert slots[PADDING] == imdb_embedding.PADDING


def test_the_embedding_is_the_classic_baseline() -> None:
    model = imdb_embedding.build(context(TextInput(bits=12, length=256)))

    assert sum(int(np.prod(weight.shape)) for weight in model.trainable_weights) == 10_000 * 16 + 16 * 16 + 16 + 16 + 1
    probabilities = np.asarray(model.predict_on_batch(np.full((2, 256), PADDING, np.int32)))
    assert probabilities.sum(axis=1) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("name", ["imdb_reviews", "imdb_embedding", "sample_reviews"])
def test_a_text_recipe_is_named_after_its_file(name: str) -> None:
    recipe = recipes.find(name)

    assert (recipe.name, recipe.task, recipe.labels) == (name, "text_classification", ("neg", "pos"))
