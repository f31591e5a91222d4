"""Which version answers, also while versions come and go."""

from dataclasses import replace

from serving.card import ImageInput
from tests.gateway.caller import RED
from tests.gateway.classifiers import COLORS, Classifiers
from tests.gateway.conftest import Serve


def test_the_newest_version_answers_unless_another_is_asked_for(serve: Serve) -> None:
    upstream = Classifiers(COLORS)
    upstream.publish(COLORS, 4)
    upstream.labels = {"colors": {"stable": 1}}
    caller = serve(upstream)

    assert caller.classify(RED).json["version"] == 4
    assert caller.classify(RED, "?version=1").json["version"] == 1
    assert caller.classify(RED, "?label=stable").json["version"] == 1


def test_the_version_that_prepared_is_the_version_that_is_asked(serve: Serve) -> None:
    upstream = Classifiers(COLORS)
    upstream.publish(COLORS, 2)
    caller = serve(upstream)
    upstream.asked.clear()
    caller.classify(RED, "?version=1")

    assert ("colors", 1) in upstream.asked


def test_when_the_version_goes_in_between_the_newest_is_asked_with_the_picture_prepared_again(serve: Serve) -> None:
    class Swapping(Classifiers):
        """Retires version 1 for a larger version 2 just when version 1 is asked for the first time."""

        shapes: list[tuple[int, ...]]

        def predict(self, model, version, signature, inputs, deadline):  # type: ignore[no-untyped-def]
            if inputs["image"].any():  # the canned inference is all black
                self.shapes.append(inputs["image"].shape)
                if len(self.shapes) == 1:
                    self.publish(replace(COLORS, input=ImageInput(height=24, width=24)), 2)
                    self.retire("colors", 1)
            return super().predict(model, version, signature, inputs, deadline)

    upstream = Swapping(COLORS)
    upstream.shapes = []
    caller = serve(upstream)
    answer = caller.classify(RED)

    assert (answer.status, answer.json["version"], answer.labels) == (200, 2, ["red"])
    assert upstream.shapes == [(1, 16, 16, 3), (1, 24, 24, 3)]


def test_a_pinned_version_that_has_gone_is_a_404_and_not_another_version(serve: Serve) -> None:
    upstream = Classifiers(COLORS)
    upstream.publish(COLORS, 2)
    caller = serve(upstream)
    upstream.retire("colors", 1)

    assert caller.classify(RED, "?version=1").status == 404
