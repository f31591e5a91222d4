"""How much disk the packages take that a server needs: what its environment would hold, without making one."""

from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.processes import CHECKOUT


def closure(names: Iterable[str]) -> set[str]:
    """These distributions and all that they require here, by their canonical names."""
    found: set[str] = set()
    left = [Requirement(name) for name in names]
    while left:
        wanted = left.pop()
        name = canonicalize_name(wanted.name)
        if name in found:
            continue
        try:
            required = distribution(name).requires or []
        except PackageNotFoundError:
            continue
        found.add(name)
        extras = wanted.extras or {""}
        parsed = [Requirement(text) for text in required]
        left += [
            each
            for each in parsed
            if not each.marker or any(each.marker.evaluate({"extra": extra}) for extra in extras)
        ]
    return found


def locked(*extras: str) -> set[str]:
    """What the lock files of these extras name."""
    lines = [line for extra in extras for line in (CHECKOUT / "requirements" / f"{extra}.txt").read_text().splitlines()]
    return {
        canonicalize_name(line.split("==")[0]) for line in lines if "==" in line and not line.startswith((" ", "#"))
    }


def size_mb(names: Iterable[str]) -> float:
    """Megabytes of the files of these distributions, as they are installed here."""
    total = 0.0
    for name in names:
        try:
            total += _bytes(distribution(name))
        except PackageNotFoundError:
            continue
    return total / 1e6


def folder_size_mb(site_packages: Path) -> float:
    """Megabytes of everything that is installed in another environment."""
    return sum(_bytes(each) for each in distributions(path=[str(site_packages)])) / 1e6


def _bytes(found: Distribution) -> int:
    """The sizes that the installer wrote down; files compiled later are not among them."""
    return sum(file.size or 0 for file in found.files or [])
