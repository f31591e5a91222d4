"""What training commands print on stdout when they are done: figures, the gate's findings, where the version lies."""

import click
from rich.console import Console

from serving.card import ModelCard
from training import tables
from training.export import Published
from training.gate import Verdict


def show(card: ModelCard) -> None:
    """What was measured, as tables."""
    console = Console()
    if card.quality is not None:
        for table in tables.of_quality(card):
            console.print(table)
    if card.regression is not None:
        console.print(tables.of_regression(card))
    if (phases := tables.of_phases(card)) is not None:
        console.print(phases)
    console.print(tables.of_parity(card))


def report(published: Published) -> None:
    """What came of an export: its figures, what the gate said, and where it lies."""
    show(published.card)
    console = Console(highlight=False, soft_wrap=True)
    for remark in published.remarks:
        console.print(remark, markup=False)
    if published.verdict is not None:
        judged(published.verdict)
    if published.refused:
        click.echo("Error: this version is worse than the one that serves; --force publishes it all the same", err=True)
        click.echo(f"Kept back {published.folder}" if published.folder else "Not published")
    else:
        click.echo(f"Published {published.folder}" if published.folder else "Not published, as asked")


def judged(verdict: Verdict) -> None:
    """Print what the gate found, and a sentence for everything that is worse."""
    console = Console(highlight=False, soft_wrap=True)
    if verdict.rows:
        console.print(tables.of_verdict(verdict))
    for sentence in (verdict.remark, *verdict.refusals):
        if sentence:
            console.print(f"{sentence[0].upper()}{sentence[1:]}", markup=False)
