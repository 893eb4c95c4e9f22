"""`rt-seg doctor`: what this machine can run, and for each thing missing what to do. It looks into every room."""

import sys
from importlib.metadata import version
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .doctor_checks import Finding

_MARKS = {"ok": ("ok", "green"), "absent": ("-", "dim"), "broken": ("!!", "bold red")}


def doctor(
    json_report: Annotated[
        bool, typer.Option("--json", help="Print the findings as JSON on standard output, and nothing else there.")
    ] = False,
) -> None:
    """Say what this machine can run, and for each thing that is missing what to do about it.

    Looks at processor and precision, NVIDIA driver, GPUs, TensorRT, pycuda, engines, video, display, cameras and
    optional packages. It changes nothing and sends nothing.

    The marks: ok works; - is not there, and rt-seg works without it; !! is there, or needed, and does not work.

    Exit codes: 0 nothing is broken, 1 something is (marked !!), 2 wrong command line.
    """
    sections = examine()
    if json_report:
        from .doctor_checks import as_json

        sys.stdout.write(as_json(sections) + "\n")
    else:
        print_findings(sections)
    if any(item.state == "broken" for findings in sections.values() for item in findings):
        raise typer.Exit(1)


def examine() -> "dict[str, list[Finding]]":
    """Run every check: its findings, by section."""
    from rt_seg.engines.tensorrt.driver import probe_driver

    from . import doctor_checks as checks

    driver = probe_driver()
    return {
        "This machine": list(checks.check_cpu()),
        "GPU": [*checks.check_gpu(driver), *checks.check_tensorrt(driver), *checks.check_engines(driver)],
        "Video": [*checks.check_video(), *checks.check_display(), *checks.check_cameras()],
        "Optional packages": list(checks.check_extras()),
    }


def print_findings(sections: "Mapping[str, list[Finding]]") -> None:
    """Print them as one table, what to do below each thing that is missing."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    console.print(Text.assemble(("rt-seg ", "bold"), (version("rt-seg"), "bold")))
    for title, findings in sections.items():
        console.print(Text(f"\n{title}", style="bold"))
        table = Table(box=None, show_header=False, padding=(0, 1), pad_edge=False)
        for width in (2, 15):
            table.add_column(min_width=width, no_wrap=True)
        table.add_column(overflow="fold")
        for item in findings:
            mark, style = _MARKS[item.state]
            text = Text(item.text, style="dim" if item.state == "absent" else "")
            if item.remedy:
                text.append(f"\n{item.remedy}", style="cyan")
            table.add_row(Text(mark, style=style), item.part, text)
        console.print(table)
    console.print(Text(f"\n{_closing(sections)}"))


def _closing(sections: "Mapping[str, list[Finding]]") -> str:
    broken = [item.part for findings in sections.values() for item in findings if item.state == "broken"]
    if broken:
        return f"Does not work: {', '.join(broken)}."
    engines = [item for item in sections["GPU"] if item.part == "engine" and item.state == "ok"]
    where = "on the GPU" if engines else "on the CPU"
    return f"rt-seg runs here, {where}."
