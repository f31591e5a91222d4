"""Every stack of k8s/ in turn."""

import pytest

from tests.k8s import rendered
from tests.k8s.rendered import Object


@pytest.fixture(params=rendered.stacks())
def objects(request: pytest.FixtureRequest) -> tuple[Object, ...]:
    """All objects of one overlay, or of the base with components."""
    if reason := rendered.kubectl_is_missing():
        pytest.skip(reason)
    return rendered.rendered(request.param)


@pytest.fixture(params=["files of the base", *rendered.stacks()])
def pods(request: pytest.FixtureRequest) -> tuple[Object, ...]:
    """As `objects`, and the files of base/, which need no kubectl."""
    if request.param == "files of the base":
        return rendered.base_files()
    if reason := rendered.kubectl_is_missing():
        pytest.skip(reason)
    return rendered.rendered(request.param)
