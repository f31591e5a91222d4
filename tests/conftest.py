"""What every test may ask for."""

import signal
from pathlib import Path

import pytest

from tests.processes import CHECKOUT

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell lets what it starts in the background ignore Ctrl-C, and every process started from here would as well.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real photos, reviews and backbone weights beside the checkout, where a team keeps such a folder."""
    folder = CHECKOUT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs the real data set folder ../shared/data beside the checkout")
    return folder


@pytest.fixture(scope="session")
def saved_models() -> Path:
    """The small committed SavedModels; tests/saved_models/make.py wrote them."""
    return CHECKOUT / "tests" / "saved_models"
