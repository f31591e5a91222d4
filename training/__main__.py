"""The training commands; each stands in a room of its kind, loaded when the command is asked for.

So a command that only puts labels on versions does not wait for TensorFlow, and the list of commands does not
either. Progress goes to stderr, results to stdout. What exit codes mean, says `exits.py`.
"""

import sys
from importlib import import_module

import click

from training import chatter
from training.exits import STOPPED

_ROOMS = {
    "compare": ("version_commands.compare", "Ask two versions the same test examples."),
    "evaluate": ("version_commands.evaluate", "Measure a published model on its test split."),
    "export-lite": ("version_commands.export_lite", "Write a version as one TFLite file, its card inside."),
    "import": ("version_commands.import_model", "Publish a Keras model of your own, with a card."),
    "learning-curve": ("study_commands.draw_learning_curve", "Train with fewer examples: what would more bring?"),
    "list": ("train_commands.list_recipes", "Show the recipes."),
    "models-config": ("label_commands.models_config", "Print a models.config for TensorFlow Serving."),
    "promote": ("label_commands.promote", "Put a label on a version."),
    "prune": ("label_commands.prune", "Remove old versions; labels and the newest stay."),
    "report": ("study_commands.make_report", "Write the report of a run, again."),
    "resume": ("train_commands.resume", "Go on with a run that was stopped or killed."),
    "rollback": ("label_commands.rollback", "Put a label back to where it was."),
    "train": ("train_commands.train", "Train recipes, measure, verify and publish."),
}
"""Command to its room in this package with its function there, and what it is for."""


class LazyGroup(click.Group):
    """A group that loads a command when it is asked for, as click's documentation shows under "Lazily Loading"."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands."""
        return list(_ROOMS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load a command; None where there is none of the name."""
        if cmd_name not in _ROOMS:
            return None
        room, function = _ROOMS[cmd_name][0].split(".")
        try:
            with chatter.dropped():
                command: click.Command = getattr(import_module(f"training.{room}"), function)
        except KeyboardInterrupt:
            sys.exit(STOPPED)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands of `--help`, without loading any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in _ROOMS.items()])


@click.group(cls=LazyGroup, help="Train image and text classifiers and publish them for serving.")
def cli() -> None:
    """Group of all commands."""


if __name__ == "__main__":
    cli(prog_name="python -m training")
