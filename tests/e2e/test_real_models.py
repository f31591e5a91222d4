"""From real photos and reviews to served answers: every door says what the Keras model says."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray

from clients.answers import Classification
from clients.grpc_client import GrpcClient
from clients.http_client import HttpClient
from serving.card import ImageInput
from serving.preprocess.image import to_pixels
from tests.processes import Slipway

if TYPE_CHECKING:
    from tests.e2e.answered import Answered

PHOTOS, REVIEWS = "cats_vs_dogs_mobilenet", "imdb_reviews"

pytestmark = pytest.mark.timeout(1800)


def matrix(answers: Iterable[Classification], labels: tuple[str, ...]) -> NDArray[np.float64]:
    """[N, labels] of what a client was told."""
    rows = [{rank.label: rank.probability for rank in answer.top} for answer in answers]
    return np.array([[row[label] for label in labels] for row in rows])


def assert_same(served: NDArray[np.float64], keras: "Answered") -> None:
    """The promise: the same first place for 99.5 %, and every probability within 1e-3."""
    assert served.shape == keras.probabilities.shape
    same = served.argmax(axis=1) == keras.probabilities.argmax(axis=1)
    assert same.mean() >= 0.995
    assert np.abs(served - keras.probabilities).max() < 1e-3


def test_every_test_photo_gets_keras_answer_over_http(server: Slipway, photos: "Answered") -> None:
    with HttpClient(server.url, timeout_s=60) as client:
        assert_same(matrix(client.classify(photos.items, PHOTOS), photos.labels), photos)


def test_every_test_photo_gets_keras_answer_over_grpc(server: Slipway, photos: "Answered") -> None:
    with GrpcClient(server.grpc, timeout_s=60) as client:
        assert_same(matrix(client.classify(photos.items, PHOTOS), photos.labels), photos)


def test_every_test_photo_gets_keras_answer_over_rest(server: Slipway, photos: "Answered") -> None:
    with HttpClient(f"http://{server.rest}", timeout_s=60) as client, GrpcClient(server.grpc) as grpc:
        spec = grpc.card(PHOTOS).input
        assert isinstance(spec, ImageInput)
        pixels = np.stack([to_pixels(photo, spec) for photo in photos.items])
        answers = [
            client.predict({"image": pixels[start : start + 8]}, PHOTOS)["probabilities"]
            for start in range(0, len(pixels), 8)
        ]
    assert_same(np.concatenate(answers), photos)


def test_every_test_review_gets_keras_answer_over_http(server: Slipway, reviews: "Answered") -> None:
    with HttpClient(server.url, timeout_s=60) as client:
        answers = client.review((text.decode() for text in reviews.items), REVIEWS)
    assert_same(matrix(answers, reviews.labels), reviews)


def test_every_test_review_gets_keras_answer_over_grpc(server: Slipway, reviews: "Answered") -> None:
    with GrpcClient(server.grpc, timeout_s=60) as client:
        answers = client.review((text.decode() for text in reviews.items), REVIEWS)
    assert_same(matrix(answers, reviews.labels), reviews)


def test_every_test_review_gets_keras_answer_over_rest(server: Slipway, reviews: "Answered") -> None:
    with HttpClient(f"http://{server.rest}", timeout_s=60) as client:
        answers = [
            client.predict({"text": np.array(reviews.items[start : start + 50], object)}, REVIEWS)["probabilities"]
            for start in range(0, len(reviews.items), 50)
        ]
    assert_same(np.concatenate(answers), reviews)


@pytest.mark.parametrize(("name", "least"), [("photos", 0.9), ("reviews", 0.88)])
def test_even_a_short_training_learns_the_task(name: str, least: float, request: pytest.FixtureRequest) -> None:
    answered: Answered = request.getfixturevalue(name)

    assert (answered.probabilities.argmax(axis=1) == answered.truth).mean() >= least
