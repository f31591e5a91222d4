"""A door that many tests share."""

from collections.abc import Iterator

import pytest

from tests.modelserver.http2.doors import Stage, stage


@pytest.fixture(scope="package")
def shared() -> Iterator[Stage]:
    """Whose caller breaks rules must leave it as it was for the next."""
    with stage() as opened:
        yield opened
