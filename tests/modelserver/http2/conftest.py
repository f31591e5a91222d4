"""A door that many tests share."""

from collections.abc import Iterator

import pytest

from tests.modelserver.http2.doors import Stage, stage


@pytest.fixture(scope="package")
def opened() -> Iterator[Stage]:
    """One for all."""
    with stage() as found:
        yield found


@pytest.fixture
def shared(opened: Stage) -> Iterator[Stage]:
    """The same, as new."""
    yield opened
    opened.clear()
