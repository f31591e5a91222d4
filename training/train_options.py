"""The options of the loop on the command line, made from the fields of `learning.Learning`: one place for both.

`train --help` shows them in groups. Unless given, an option is as the recipe has it.
"""

from collections.abc import Callable
from dataclasses import Field, fields, replace
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import click

from training.learning import Augment, Learning, check_given, named_options
from training.recipe import Recipe

_TYPES = get_type_hints(Learning) | get_type_hints(Augment)
_LOOP = {one.name: one.metadata["group"] for one in named_options()}


def loop_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add an option for every field; the command gets all of them by keyword, None where not given."""
    for one in reversed(list(named_options())):
        command = _click_option(one)(command)
    return command


def chosen(recipe: Recipe, given: dict[str, Any]) -> Recipe:
    """The recipe with the options that were given.

    Raises:
        BadInput: one of them has no effect beside the others.
    """
    named = {name: value for name, value in given.items() if value is not None}
    augment = {one.name for one in fields(Augment)}
    changed = replace(
        recipe,
        augment=replace(recipe.augment, **{name: value for name, value in named.items() if name in augment}),
        **{name: value for name, value in named.items() if name not in augment},
    )
    check_given(recipe.name, changed, set(named))
    return changed


class GroupedCommand(click.Command):
    """Shows the options of the loop in groups, behind all others."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections of `--help`."""
        groups: dict[str, list[tuple[str, str]]] = {"Options": []}
        for parameter in self.get_params(ctx):
            if isinstance(parameter, click.Option) and (row := parameter.get_help_record(ctx)) is not None:
                groups.setdefault(_LOOP.get(parameter.name or "", "Options"), []).append(row)
        for title, rows in groups.items():
            with formatter.section(title):
                formatter.write_dl(rows)


def _click_option(one: Field[Any]) -> Callable[..., Any]:
    flag, (kind, *_) = "--" + one.name.replace("_", "-"), _plain(_TYPES[one.name])
    if kind is bool:
        return click.option(f"{flag}/--no-{flag[2:]}", default=None, help=one.metadata["help"])
    return click.option(flag, type=_click_type(kind, one), help=one.metadata["help"])


def _plain(kind: Any) -> list[Any]:
    """The type without None."""
    return (
        [kind] if get_origin(kind) is Literal else [part for part in get_args(kind) if part is not NoneType] or [kind]
    )


def _click_type(kind: Any, one: Field[Any]) -> click.ParamType[Any]:
    low, high = one.metadata["low"], one.metadata["high"]
    if get_origin(kind) is Literal:
        return click.Choice(get_args(kind))
    if kind is int:
        return click.IntRange(low, high)
    return click.FloatRange(low, high)
