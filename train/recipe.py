"""Recipes: options of `rt-seg train` in a TOML file, which the command line overrides."""

from pathlib import Path

import typer

from rt_seg.errors import DataError
from rt_seg.option_file import apply_options

_FOLDER = Path(__file__).parent / "recipes"


def packaged_recipes() -> list[str]:
    """Names of the recipes that come with rt-seg."""
    return sorted(file.stem for file in _FOLDER.glob("*.toml"))


def find_recipe(name: str) -> Path:
    """The file of a recipe.

    Args:
        name: A file, or the name of one that comes with rt-seg, such as ``kvasir-unet``.

    Raises:
        DataError: There is none.
    """
    path = Path(name) if name.endswith(".toml") else _FOLDER / f"{name}.toml"
    if not path.is_file():
        known = ", ".join(packaged_recipes())
        raise DataError(f"{name}: there is no such recipe; give a .toml file, or one of {known}")
    return path


def apply_recipe(context: typer.Context, name: str | None) -> str | None:
    """Callback of ``--recipe``: what it holds becomes the default of the options of those names.

    A recipe belongs to no data in particular: its paths are meant from the working directory, as on the command line.

    Raises:
        DataError: The recipe cannot be read, or holds what is no option or no value of it.
    """
    if name is not None:
        apply_options(context, find_recipe(name), error=DataError, relative_to_file=False)
    return name
