"""Write the small SavedModels that the tests serve; needs TensorFlow, which most tests do not.

    python -m tests.saved_models.make [NAME...]

Each lies as NAME/1/ beside this file, so that NAME is a model's base path. The result is committed;
a run replaces it. `plain.py` and `examples.py` build the graphs without a card, `carded.py` two
classifiers as training publishes them.
"""

import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.saved_models import carded, examples, plain
from tests.saved_models.settled import settle

HERE = Path(__file__).parent

BUILDERS: Mapping[str, Callable[[Path], None]] = {**plain.BUILDERS, **examples.BUILDERS, **carded.BUILDERS}


def make(name: str, folder: Path = HERE) -> Path:
    """Write one model anew as folder/NAME/1, and return that."""
    version = folder / name / "1"
    shutil.rmtree(version, ignore_errors=True)
    BUILDERS[name](version)
    settle(version)
    return version


def main(names: list[str]) -> int:
    """Write the named models, or all; returns the exit code."""
    if unknown := sorted(set(names) - set(BUILDERS)):
        print(f"no model called {', '.join(unknown)}; there are {', '.join(sorted(BUILDERS))}", file=sys.stderr)
        return 2
    for name in names or BUILDERS:
        files = [path for path in make(name).rglob("*") if path.is_file()]
        print(f"{name}\t{sum(file.stat().st_size for file in files)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
