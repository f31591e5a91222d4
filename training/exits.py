"""How a training command ends: what a person can mend is one sentence on stderr and an exit code.

0  done      2  it cannot be done as asked; nothing was published      3  the gate kept a version back
130  stopped by Ctrl-C or SIGTERM; what was learned up to the last whole epoch is kept
"""

import errno
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from serving.errors import ServingError
from training.interruption import Stopped

WORSE = 3
STOPPED = 130


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
            _refuse(_with_notes(f"{what}; nothing was published", error))
        except Stopped as stop:
            click.echo(_with_notes(str(stop), stop), err=True)
            sys.exit(STOPPED)
        except KeyboardInterrupt as stop:
            click.echo(_with_notes("stopped at once", stop), err=True)
            sys.exit(STOPPED)

    return guarded


def _with_notes(sentence: str, error: BaseException) -> str:
    """The sentence, and what was noted on its way: how a run can go on."""
    return "; ".join([sentence, *getattr(error, "__notes__", ())])


def _refuse(sentence: str) -> None:
    click.echo(f"Error: {sentence}", err=True)
    sys.exit(2)
