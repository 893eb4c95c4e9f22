"""Recipes: options of `rt-seg train` in a TOML file, which the command line overrides."""

import tomllib
from pathlib import Path
from typing import Any

import typer

from rt_seg.errors import DataError

_FOLDER = Path(__file__).parent / "recipes"


def read_recipe(name: str) -> dict[str, Any]:
    """Read a recipe.

    Args:
        name: A file, or the name of one that comes with rt-seg, such as ``kvasir-unet``.

    Raises:
        DataError: Not there, or not TOML.
    """
    path = Path(name)
    if path.suffix != ".toml":
        path = _FOLDER / f"{name}.toml"
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as exc:
        known = ", ".join(sorted(file.stem for file in _FOLDER.glob("*.toml")))
        raise DataError(f"{name}: there is no such recipe; give a .toml file, or one of {known}") from exc
    except (OSError, ValueError) as exc:
        raise DataError(f"{path}: cannot be read as a recipe ({exc})") from exc


def apply_recipe(context: typer.Context, name: str | None) -> str | None:
    """Callback of ``--recipe``: what it holds becomes the default of the options of those names.

    Raises:
        DataError: The recipe cannot be read, or names an option that there is not.
    """
    if name is None:
        return None
    values = read_recipe(name)
    known = {parameter.name for parameter in context.command.params}
    unknown = sorted(values.keys() - known)
    if unknown:
        raise DataError(f"recipe {name}: rt-seg train has no option {', '.join(unknown)}")
    context.default_map = {**(context.default_map or {}), **values}
    return name
