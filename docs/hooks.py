"""What mkdocs does with the pages: the repository's own texts go where they are named, and commands are listed.

``<!-- include FILE -->`` stands for a file without its heading, ``<!-- include FILE # Section -->`` for one section of
it, ``<!-- commands -->`` for all commands and options, read off the command line. So nothing is written twice.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

_ROOT = Path(__file__).parent.parent
_INCLUDE = re.compile(r"<!-- include (\S+?)(?: # (.+?))? -->")
_LINK = re.compile(r"(\[[^\]]*\])\(([^)#:\s]+)\)")
# where the repository's files are in the documentation; None: nowhere, only their names remain
_PAGES = {
    "README.md": "index.md",
    "THIRD_PARTY.md": "safety.md",
    "LICENSE": None,
    "realtime/view/grafana.json": None,
    "benchmarks/README.md": "benchmarks.md",
    "engines/models/MODEL_CARD.md": "models.md",
}


def on_page_markdown(markdown: str, **_page: Any) -> str:
    """Called by mkdocs for each page, before it becomes HTML."""
    included = _INCLUDE.sub(lambda found: _included(found[1], found[2]), markdown)
    return included.replace("<!-- commands -->", "\n".join(_commands()))


def _included(name: str, section: str | None) -> str:
    path = _ROOT / name
    text = path.read_text(encoding="utf-8").partition("\n")[2]
    if section is None:
        text = re.sub(r"(?m)^(#+ )", r"#\1", text)  # below the heading of the page's own section
    else:
        _, heading, rest = f"\n{text}".partition(f"\n## {section}\n")
        if not heading:
            raise ValueError(f"{name} has no section {section!r}")
        text = rest.partition("\n## ")[0]
    return _LINK.sub(lambda found: _linked(path, found[1], found[2]), text).strip()


def _linked(path: Path, label: str, target: str) -> str:
    place = (path.parent / target).resolve().relative_to(_ROOT).as_posix()
    if place.startswith("docs/"):
        return f"{label}({place.removeprefix('docs/')})"
    page = _PAGES[place]
    return label[1:-1] if page is None else f"{label}({page})"


def _commands() -> Iterator[str]:
    from rt_seg.cli import app

    group: Any = typer.main.get_command(app)
    for name, command in group.commands.items():
        context = command.make_context(name, [], resilient_parsing=True)
        usage = " ".join(f"{piece}" for piece in command.collect_usage_pieces(context))
        yield f"### rt-seg {name}\n"
        yield f"```text\nrt-seg {name} {usage}\n```\n\n{_escaped(command.help)}\n"
        yield from _tables(command)


def _tables(command: Any) -> Iterator[str]:
    panels: dict[str, list[str]] = {}
    for parameter in command.params:
        panel = parameter.rich_help_panel or ("Arguments" if parameter.param_type_name == "argument" else "Options")
        panels.setdefault(panel, []).append(_row(parameter))
    for panel, rows in panels.items():
        yield f"\n| {panel} | |\n|---|---|"
        yield from rows
    yield ""


def _row(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        names = f"`{parameter.display_name_raw}`"
    else:
        names = ", ".join(f"`{name}`" for name in [*parameter.opts, *parameter.secondary_opts])
    default = parameter.default
    shown = parameter.show_default and default is not None and not isinstance(default, bool)
    return f"| {names} | {_escaped(parameter.help)}{f' Default: `{default}`.' if shown else ''}{_choices(parameter)} |"


def _choices(parameter: Any) -> str:
    choices = parameter.type_descriptor.choices
    return "" if choices is None else f" One of {', '.join(f'`{choice}`' for choice in choices)}."


def _escaped(text: str | None) -> str:
    return re.sub(r"([|*_<>])", r"\\\1", text or "")
