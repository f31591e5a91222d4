"""How a training command ends: what a person can mend is one sentence on stderr and an exit code.

0  done      2  it cannot be done as asked; nothing was published      3  the gate kept a version back
"""

import errno
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from serving.errors import ServingError

WORSE = 3


def refusals(command: Callable[..., None]) -> Callable[..., None]:
    """Turn what a person can mend into one sentence and exit code 2."""

    @wraps(command)
    def guarded(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except ServingError as error:
            _refuse(error.message)
        except OSError as error:
            full = error.errno == errno.ENOSPC
            what = "no space left on the disk: free some, or move --cache-dir and --models" if full else str(error)
            _refuse(f"{what}; nothing was published")

    return guarded


def _refuse(sentence: str) -> None:
    click.echo(f"Error: {sentence}", err=True)
    sys.exit(2)
