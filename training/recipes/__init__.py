"""The recipes: one file per model, each of which defines RECIPE; a new one is found by being there."""

from importlib import import_module
from pkgutil import iter_modules

from serving.errors import NotFound
from training.recipe import Recipe


def names() -> list[str]:
    """All recipes, sorted."""
    return sorted(module.name for module in iter_modules(__path__))


def find(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        NotFound: there is none; the text lists those there are.
    """
    if name not in names():
        raise NotFound(f"there is no recipe {name!r}; there are {', '.join(names())}")
    recipe: Recipe = import_module(f"{__name__}.{name}").RECIPE
    return recipe
