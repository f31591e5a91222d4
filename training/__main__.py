"""The training commands; each stands in a room of its kind, loaded when the command is asked for.

So a command that only puts labels on versions does not wait for TensorFlow. Progress goes to stderr, results
to stdout. What exit codes mean, says `exits.py`.
"""

import os
from importlib import import_module

import click

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's start-up chatter is not ours; set before its import

_ROOMS = {
    "compare": "version_commands.compare",
    "evaluate": "version_commands.evaluate",
    "export-lite": "version_commands.export_lite",
    "import": "version_commands.import_model",
    "learning-curve": "study_commands.draw_learning_curve",
    "list": "train_commands.list_recipes",
    "models-config": "label_commands.models_config",
    "promote": "label_commands.promote",
    "prune": "label_commands.prune",
    "report": "study_commands.make_report",
    "resume": "train_commands.resume",
    "rollback": "label_commands.rollback",
    "train": "train_commands.train",
}
"""Command to its room in this package and its function there."""


class LazyGroup(click.Group):
    """A group that loads a command when it is asked for, as click's documentation shows under "Lazily Loading"."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands."""
        return list(_ROOMS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load a command; None where there is none of the name."""
        if cmd_name not in _ROOMS:
            return None
        room, function = _ROOMS[cmd_name].split(".")
        command: click.Command = getattr(import_module(f"training.{room}"), function)
        return command


@click.group(cls=LazyGroup, help="Train image and text classifiers and publish them for serving.")
def cli() -> None:
    """Group of all commands."""


if __name__ == "__main__":
    cli(prog_name="python -m training")
