"""Known vulnerabilities in what requirements/*.txt pins, as the package index's advisory service knows them.

    python -m tests.audit

Asks first about one old release that is known to be vulnerable. A service that is away, or that carries no
advisories (a mirror often does not), is then told from one that finds nothing: the audit is left out,
with the reason, and does not fail, since a build must pass without a network. Exit code 1 only for a finding.
"""

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.processes import CHECKOUT, run

KNOWN = "jinja2==2.4.1"
"""A release of 2010 with several advisories."""
TIMEOUT_S = 600


class Unaudited(Exception):
    """There was nobody to ask; says why."""


def asked(*options: str) -> tuple[list[dict[str, str]], list[str]]:
    """One row a finding (package, version, advisory, fixed in), and the packages that nobody knew.

    Raises:
        Unaudited: pip-audit did not get an answer for a package.
    """
    command = [sys.executable, "-m", "pip_audit", "--progress-spinner", "off", "--format", "json", "--disable-pip"]
    ended = run([*command, *options], timeout_s=TIMEOUT_S)
    try:
        packages = json.loads(ended.stdout)["dependencies"]
    except (ValueError, KeyError):
        lines = ended.stderr.strip().splitlines() or ["pip-audit said nothing"]
        raise Unaudited(lines[-1]) from None
    skipped = [package for package in packages if "skip_reason" in package]
    if skipped and len(skipped) == len(packages):
        raise Unaudited(skipped[0]["skip_reason"])
    findings = [
        {
            "package": package["name"],
            "version": package["version"],
            "advisory": found["id"],
            "fixed in": ", ".join(found["fix_versions"]),
        }
        for package in packages
        for found in package.get("vulns", ())
    ]
    return findings, [package["name"] for package in skipped]


def prove_that_it_knows() -> None:
    """Raises: Unaudited: the service does not know what everybody knows."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(f"{KNOWN}\n")
        file.flush()
        if not asked("--no-deps", "-r", file.name)[0]:
            raise Unaudited(f"it knows nothing of {KNOWN}, so it carries no advisories")


def audit(files: Sequence[Path]) -> tuple[list[dict[str, str]], list[str]]:
    """The findings of all files together, and the packages that nobody knew."""
    prove_that_it_knows()
    return asked("--require-hashes", *(option for file in files for option in ("-r", str(file))))


def main() -> int:
    """Print the findings; the exit code."""
    console = Console(width=120)
    files = sorted((CHECKOUT / "requirements").glob("*.txt"))
    try:
        found, unknown = audit(files)
    except Unaudited as error:
        console.print(
            f"Not audited: the advisory service gave no answer ({error}). Run it again where it can be reached."
        )
        return 0
    if unknown:
        console.print(f"Not known to the advisory service: {', '.join(unknown)}.")
    if not found:
        console.print(f"No known vulnerability in the {len(files)} files of requirements/.")
        return 0
    table = Table(*found[0], title="Known vulnerabilities")
    for row in found:
        table.add_row(*row.values())
    console.print(table)
    return 1


if __name__ == "__main__":
    sys.exit(main())
