"""Options of a command in a TOML file: read for ``--config`` and ``--recipe``, written for ``--save-config``.

Which keys there are, and what each may hold, is read off the command itself, so that no option can be forgotten. A key
is an option's long name, ``min_frames`` or ``min-frames``; arguments go by their names. Three rules of ours:

- Options that are ``is_eager`` speak of the command line itself (``--config``): they have no place in a file.
- A path that is not absolute is meant from the folder of the file, so that a file means the same wherever it is used
  from. A text option that may name a file says so by `FileUnless` in its annotation.
- Secrets are read only from files that others cannot read, and are never written. A secret is an option with
  ``hide_input`` or with a name that ends in token, password or secret; an address that holds a password counts, too.
"""

import difflib
import math
import os
import re
import stat
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import typer

from .errors import InputError, OutputError

_SECRET = re.compile(r"(^|_)(token|password|secret)$")
_ADDRESS_WITH_PASSWORD = re.compile(r"\w+://[^/@\s]*:[^/@\s]+@")
_BEYOND_GROUP = stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class FileUnless:
    """Marks a text option as one that names a file, unless it is something else.

    Attributes:
        other: Whether a text is something else, such as ``auto`` or an address.
    """

    other: Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class _Option:
    """An option or argument of a command.

    Attributes:
        key: Its name in a file.
        name: Its name as a parameter of the command's function.
        typed: Its name as it is typed.
        hint: What it holds: a type, a ``Literal``, or a list of one.
        marker: What its annotation says of files.
        parameter: As typer knows it.
    """

    key: str
    name: str
    typed: str
    hint: Any
    marker: FileUnless | None
    parameter: Any

    @property
    def element(self) -> Any:
        """What it holds, or what each of the values is that it holds."""
        return get_args(self.hint)[0] if self.repeats else self.hint

    @property
    def repeats(self) -> bool:
        """Whether it may be given more than once."""
        return get_origin(self.hint) is list

    @property
    def secret(self) -> bool:
        """Whether its value is nobody's business."""
        return bool(getattr(self.parameter, "hide_input", False)) or _SECRET.search(self.key) is not None


def apply_options(
    context: typer.Context, path: Path, *, error: type[InputError] = InputError, relative_to_file: bool = True
) -> None:
    """Make what a file holds the default of the options of those names: the command line, and the environment, win.

    To be called by the callback of an eager option: the others are read after it.

    Args:
        context: Of the command.
        path: A TOML file.
        error: Raised for whatever is wrong with the file.
        relative_to_file: Whether paths are meant from the file's folder; else from the working directory.

    Raises:
        InputError: The file cannot be read, holds a key that is no option, or a value that the option does not take;
            one line that names file and key.
    """
    try:
        table = _read_table(path)
        values = _named(context, table)
        _refuse_exposed(path, values)
        folder = path.absolute().parent if relative_to_file else None
        taken = {option.name: _taken(context, option, value, folder) for option, value in values}
    except InputError as exc:
        raise error(f"{path}: {exc}") from exc
    context.default_map = {**(context.default_map or {}), **taken}


def save_options(context: typer.Context, path: Path) -> None:
    """Write every option of the command as it stands, whether it was given or is the default, but no secret.

    Args:
        context: Of the command, all its options read.
        path: A file that ends in ``.toml``; replaced if it is there, and readable by its owner alone.

    Raises:
        OutputError: It cannot be written.
    """
    if path.suffix != ".toml":
        raise OutputError(f"{path}: settings are saved as TOML; give a name that ends in .toml")
    text = _as_toml(context)
    try:
        number, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=".toml", dir=path.absolute().parent)
        try:
            with open(number, "w", encoding="utf-8") as file:  # noqa: PTH123  # a descriptor, not a path
                file.write(text)
            Path(name).replace(path)
        except BaseException:
            with suppress(OSError):
                Path(name).unlink()
            raise
    except OSError as exc:
        raise OutputError(f"{path}: cannot be written ({exc.strerror}); choose another place") from exc


# --- the command


def _options(context: typer.Context) -> dict[str, _Option]:
    """What may stand in a file, by key, in the order of the command's parameters."""
    hints = get_type_hints(context.command.callback, include_extras=True)
    parameters = [item for item in context.command.params if not item.is_eager and item.name in hints]
    options = (_option(parameter, hints[parameter.name]) for parameter in parameters)
    return {option.key: option for option in options}


def _option(parameter: Any, annotation: Any) -> _Option:
    marks = getattr(annotation, "__metadata__", ())
    bare = get_args(annotation)[0] if marks else annotation
    kinds = [kind for kind in get_args(bare) if kind is not NoneType]
    hint = kinds[0] if get_origin(bare) in {Union, UnionType} else bare
    marker = next((mark for mark in marks if isinstance(mark, FileUnless)), None)
    typed = max(parameter.opts, key=len)
    return _Option(typed.lstrip("-").replace("-", "_"), parameter.name, typed, hint, marker, parameter)


# --- reading


def _read_table(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as exc:
        raise InputError("there is no such file; give a .toml file") from exc
    except OSError as exc:
        raise InputError(f"cannot be read ({exc.strerror}); give a .toml file that can be") from exc
    except ValueError as exc:
        raise InputError(f"cannot be read as TOML ({exc})") from exc


def _named(context: typer.Context, table: Mapping[str, Any]) -> list[tuple[_Option, Any]]:
    """The options that a table sets."""
    options = _options(context)
    keys = {key: key.replace("-", "_") for key in table}
    unknown = [key for key in table if keys[key] not in options]
    if unknown:
        named = ", ".join(f"{key}{_nearest(keys[key], options)}" for key in unknown)
        raise InputError(f"rt-seg {context.info_name} has no option {named}; see rt-seg {context.info_name} --help")
    twice = next((key for key in table if list(keys.values()).count(keys[key]) > 1), None)
    if twice is not None:
        raise InputError(f"{keys[twice]} stands there twice, with - and with _; keep one")
    return [(options[keys[key]], value) for key, value in table.items()]


def _nearest(key: str, options: Mapping[str, _Option]) -> str:
    near = difflib.get_close_matches(key, options, n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def _refuse_exposed(path: Path, values: list[tuple[_Option, Any]]) -> None:
    """Refuse secrets that every user of the machine can read."""
    secret = next((option.key for option, value in values if option.secret or _holds_password(value)), None)
    if secret is not None and os.name == "posix" and path.stat().st_mode & _BEYOND_GROUP:
        raise InputError(f"{secret} is a secret, and every user can read the file; run chmod o= {path}")


def _holds_password(value: object) -> bool:
    return isinstance(value, str) and _ADDRESS_WITH_PASSWORD.match(value) is not None


def _taken(context: typer.Context, option: _Option, value: Any, folder: Path | None) -> Any:
    """A value as the option takes it.

    Raises:
        InputError: It does not.
    """
    items = value if option.repeats and _is_list(value) else [value]
    placed = [_placed(option, _of_kind(option, item), folder) for item in items]
    result = placed if option.repeats else placed[0]
    try:
        option.parameter.process_value(context, result)
    except typer.BadParameter as exc:
        raise InputError(f"{option.key} = {_shown(option, value)}: {_plain(exc.message)}") from exc
    except InputError as exc:
        raise InputError(f"{option.key}: {exc}") from exc
    return result


def _is_list(value: object) -> bool:
    return isinstance(value, list)


def _plain(message: str) -> str:
    """What typer says of a value, as the end of a line."""
    return message.removeprefix("Value error, ").replace("Input should be", "must be")


_WANTED = {bool: "true or false", int: "a whole number", float: "a number"}


def _of_kind(option: _Option, value: Any) -> Any:
    """The value, if TOML's type of it is that of the option: 1 is no true, and "0.5" is no number."""
    kind = option.element
    if kind in _WANTED:
        number = isinstance(value, int | float if kind is float else int) and math.isfinite(value)
        if number and isinstance(value, bool) == (kind is bool):
            return value
        raise InputError(f"{option.key} = {_shown(option, value)}: must be {_WANTED[kind]}")
    if not isinstance(value, str) or (get_origin(kind) is Literal and value not in get_args(kind)):
        several = ", or a list of them" if option.repeats else ""
        raise InputError(f"{option.key} = {_shown(option, value)}: must be {_texts(kind)}{several}")
    return value


def _texts(kind: Any) -> str:
    choices = [f'"{choice}"' for choice in get_args(kind)] if get_origin(kind) is Literal else []
    return f"one of {', '.join(choices)}" if choices else "a text in quotes"


def _shown(option: _Option, value: object) -> str:
    """A value as a message may show it."""
    if option.secret or _holds_password(value):
        return "..."
    written = str(value).lower() if isinstance(value, bool) else repr(value)
    return written if len(written) <= 60 else f"{written[:60]}..."


def _placed(option: _Option, value: Any, folder: Path | None) -> Any:
    """A path as it is meant."""
    is_path = option.element is Path or (option.marker is not None and not option.marker.other(value))
    if not is_path:
        return value
    if not value:
        raise InputError(f"{option.key} is empty; leave it out, or name a file")
    path = Path(value).expanduser()
    return str(path if folder is None else folder / path)


# --- writing


def _as_toml(context: typer.Context) -> str:
    """The file: a heading, then the options under the titles that they have in the help page."""
    import tomli_w

    lines = [f"# The settings of rt-seg {context.info_name}. Use them with --config; what is given beside it wins."]
    panel = ""
    for option, value in _effective(context):
        title = getattr(option.parameter, "rich_help_panel", None) or ""
        if title != panel:
            lines.extend(["", f"# {title}"])
            panel = title
        if option.secret:
            lines.append(f"# {option.key} is a secret: give it by {option.typed}, or add it here by hand")
        else:
            lines.append(tomli_w.dumps({option.key: value}).rstrip("\n"))
    return "\n".join(lines) + "\n"


def _effective(context: typer.Context) -> Iterator[tuple[_Option, Any]]:
    """Each option that has a value, with it."""
    for option in _options(context).values():
        value = context.params.get(option.name)
        if value is None or (option.repeats and not value):
            continue
        yield option, [_written(option, item) for item in value] if option.repeats else _written(option, value)


def _written(option: _Option, value: Any) -> Any:
    """A value as TOML holds it; paths are absolute, so that the file may be moved."""
    if isinstance(value, Path) or (option.marker is not None and not option.marker.other(value)):
        return str(Path(value).absolute())
    return value
