"""The map of imports, held against the code: a room imports only from rooms below it."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import CHECKOUT

FLOOR = {"serving.errors"}
SHARED = FLOOR | {
    "serving.signals",
    "serving.memory",
    "serving.environment",
    "serving.http_connection",
    "serving.placement",
    "serving.card",
    "serving.repository",
    "serving.wire",
    "serving.preprocess",
}
SERVER = "serving.modelserver"
GATEWAY = "serving.gateway"

ALLOWED: dict[str, set[str]] = {
    "serving.errors": set(),
    "serving.signals": set(),
    "serving.memory": set(),
    "serving.environment": set(),
    "serving.http_connection": set(),
    "serving.placement": set(),
    "serving.healthcheck": set(),
    "serving.store": FLOOR | {"serving.card", "serving.repository"},
    "serving.tensorflow_serving_files": FLOOR | {"serving.wire"},
    "serving.card": FLOOR,
    "serving.repository": FLOOR | {"serving.card"},
    "serving.preprocess": FLOOR | {"serving.card"},
    "serving.wire": FLOOR,
    f"{SERVER}.metrics": FLOOR,
    f"{SERVER}.runtimes": SHARED,
    f"{SERVER}.lifecycle": SHARED | {f"{SERVER}.runtimes", f"{SERVER}.metrics"},
    SERVER: SHARED | {SERVER},
    GATEWAY: SHARED | {GATEWAY},
    "serving.embedded": SHARED | {SERVER, GATEWAY},
    "serving.__main__": SHARED | {SERVER, GATEWAY, "serving.embedded"},
    "training": SHARED | {"training", f"{SERVER}.runtimes"},
    "clients": SHARED | {"clients"},
}
DRAWN = {"gateway": GATEWAY, "modelserver": SERVER, "training": "training", "clients": "clients", "shared": "serving"}
"""First word of each line of floors in the README, and the package whose rooms the line names."""


def modules(room: str) -> list[Path]:
    place = CHECKOUT / room.replace(".", "/")
    return sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]


def name_of(path: Path) -> str:
    parts = path.relative_to(CHECKOUT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[str]:
    """Every module that a file names in an import, wherever in the file it stands."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: imports are absolute, so that one can search for them"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_own(name: str) -> bool:
    return name.split(".")[0] in {"serving", "training", "clients", "tests"} and (
        (place := CHECKOUT / name.replace(".", "/")).is_dir() or place.with_suffix(".py").is_file()
    )


def inside(name: str, room: str) -> bool:
    return name == room or name.startswith(f"{room}.")


@pytest.mark.parametrize("room", ALLOWED)
def test_a_room_imports_only_from_below(room: str) -> None:
    below = ALLOWED[room] | {room}
    stray = {
        (name_of(path), name)
        for path in modules(room)
        for name in imports(path)
        if is_own(name) and name not in {"serving", SERVER} and not any(inside(name, allowed) for allowed in below)
    }
    assert not stray


def floors(word: str) -> list[list[str]]:
    """The rooms of one line of floors in the README, top floor first."""
    (line,) = re.findall(rf"^    {word} +(.*\|.*)$", (CHECKOUT / "README.md").read_text(), re.MULTILINE)
    package = DRAWN[word]
    return [
        ["serving.preprocess" if room == "preprocess" else f"{package}.{room}" for room in floor.split()]
        for floor in line.split("|")
    ]


@pytest.mark.parametrize("word", DRAWN)
def test_a_floor_of_the_readme_imports_from_none_above_it(word: str) -> None:
    above: list[str] = []
    for floor in floors(word):
        uphill = {
            (name_of(path), name)
            for room in floor
            for path in modules(room)
            for name in imports(path)
            if any(inside(name, higher) for higher in above)
        }
        assert not uphill
        above += floor


def test_every_module_stands_on_the_map() -> None:
    homeless = [
        name_of(path)
        for package in ("serving", "training", "clients")
        for path in modules(package)
        if name_of(path) != "serving" and not any(inside(name_of(path), room) for room in ALLOWED)
    ]
    assert not homeless


def test_no_two_modules_import_each_other() -> None:
    """Follows the arrows between single files; a cycle is printed as the way round."""
    files = {name_of(path): path for package in ("serving", "training", "clients") for path in modules(package)}
    arrows = {
        name: {target for target in imports(path) if target in files and target != name and not inside(name, target)}
        for name, path in files.items()
    }
    done: set[str] = set()

    def walk(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " -> ".join((*way[way.index(name) :], name))
        if name not in done:
            for target in sorted(arrows[name]):
                walk(target, (*way, name))
            done.add(name)

    for name in arrows:
        walk(name, ())


@pytest.mark.parametrize("package", ["serving", "clients"])
def test_nothing_that_serves_or_asks_needs_tensorflow(package: str) -> None:
    names = [
        name_of(path) for path in modules(package) if "__main__" not in path.name and "regenerate" not in path.name
    ]
    program = (
        "import sys\n"
        "class Blocked:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('tensorflow', 'keras', 'tensorflow_serving'):\n"
        "            raise ImportError(name + ' is blocked here')\n"
        "sys.meta_path.insert(0, Blocked())\n"
        f"for name in {names!r}: __import__(name)\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True, timeout=120, check=False
    )
    assert answer.returncode == 0, answer.stderr


def test_only_training_and_its_runtime_import_tensorflow() -> None:
    culprits = {
        name_of(path)
        for package in ("serving", "clients")
        for path in modules(package)
        for name in imports(path)
        if name.split(".")[0] in {"tensorflow", "keras"}
    }
    assert culprits <= {f"{SERVER}.runtimes.on_tensorflow", "serving.wire.regenerate"}


def test_files_are_rooms_and_functions_fit_a_screen() -> None:
    long_files, long_functions, nameless = [], [], []
    for package in ("serving", "training", "clients", "tests"):
        for path in modules(package):
            text = path.read_text()
            if text.count("\n") > 300:
                long_files.append(name_of(path))
            if path.stem in {"utils", "common", "helpers", "base", "misc"}:
                nameless.append(name_of(path))
            long_functions += [
                f"{name_of(path)}.{node.name}"
                for node in ast.walk(ast.parse(text))
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
                and (node.end_lineno or 0) - node.lineno >= 40
            ]
    assert not long_files
    assert not long_functions
    assert not nameless
