"""`rt-seg benchmark` as a command: options in, tables and files out."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from rt_seg.errors import RtSegError

from .part import PARTS

_WHAT = "What is measured"
_HOW = "How long"
_OUTPUT = "Output"

_DEFAULT = [name for name, part in PARTS.items() if part.default]
_SECONDS, _QUICK_SECONDS = 33.0, 6.0  # for each part
_REPEATS, _QUICK_REPEATS = 5, 3


def benchmark(
    part: Annotated[
        list[str] | None,
        typer.Option(
            help=f"One of {', '.join(PARTS)}; may be repeated. By default {', '.join(_DEFAULT)}.",
            rich_help_panel=_WHAT,
            show_default=False,
        ),
    ] = None,
    engine: Annotated[
        str, typer.Option(help="Model, as for rt-seg stream: a path, auto or cpu.", rich_help_panel=_WHAT)
    ] = "auto",
    source: Annotated[
        Path | None,
        typer.Option(
            help="Video to measure on, for stream, live and scale; by default the packaged clip, scaled to 1080p.",
            rich_help_panel=_WHAT,
            show_default=False,
        ),
    ] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(
            help="Data folder with images/ and masks/ for the quality beside the speed; may be repeated. "
            "By default packaged pictures.",
            rich_help_panel=_WHAT,
            show_default=False,
        ),
    ] = None,
    keras: Annotated[
        Path | None,
        typer.Option(
            help="The .keras file that the model came from: measures Keras and TensorFlow as well.",
            rich_help_panel=_WHAT,
            show_default=False,
        ),
    ] = None,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="Small pictures, few repeats: to see that all works.", rich_help_panel=_HOW),
    ] = False,
    duration: Annotated[
        float | None,
        typer.Option(
            min=1.0,
            help=f"Seconds that all parts may take together; by default {_SECONDS:.0f} for each, with --quick "
            f"{_QUICK_SECONDS:.0f}. More seconds are more repeats, and p99; few do not make fewer than it needs.",
            rich_help_panel=_HOW,
            show_default=False,
        ),
    ] = None,
    json_file: Annotated[
        Path | None,
        typer.Option(
            "--json", help="File for all of it, with raw histograms.", rich_help_panel=_OUTPUT, show_default=False
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            help="Folder for report.html (one file, plots inside), report.md, benchmark.json and the plots as PNG; "
            "needs the extra plots.",
            rich_help_panel=_OUTPUT,
            show_default=False,
        ),
    ] = None,
    compare: Annotated[
        Path | None,
        typer.Option(
            metavar="OLD.json",
            help="A file of --json to compare with: ratios, and where they are within noise.",
            rich_help_panel=_OUTPUT,
            show_default=False,
        ),
    ] = None,
) -> None:
    """Measure speed, delay and cost on this machine, with figures one can believe.

    Sides of a comparison take turns, each in a fresh process; figures are medians over repeats with their interval.
    How it is measured stands in benchmarks/README.md. Nothing is a pass or a fail, and no figure holds for another
    machine. Ctrl-C keeps the parts that are done.

    Exit codes: 0 done, 2 wrong command line or unusable --compare file, 3 source unusable, 5 model unusable, 6 data
    unusable, 7 output unwritable, 8 engine failed, 9 the extra is missing, 130 ended by Ctrl-C, 143 by SIGTERM, 129 by
    a closed terminal.
    """
    from .compare import compare as compare_reports
    from .console import BenchmarkConsole
    from .files import read_json, write_json
    from .part import Settings, choose_parts
    from .report import check_outputs, write_report
    from .run import run_parts

    names = choose_parts(part or [])
    settings = Settings(
        engine=engine,
        source=source,
        data=tuple(data or ()),
        keras=keras,
        seconds=duration or len(names) * (_QUICK_SECONDS if quick else _SECONDS),
        repeats=_QUICK_REPEATS if quick else _REPEATS,
        quick=quick,
    )
    # what cannot be read or written is said before the work
    check_outputs(json_file, report)
    old = None if compare is None else read_json(compare)
    with BenchmarkConsole(names) as console:
        outcome = run_parts(names, settings, _command(), console)
        try:
            if json_file is not None:
                write_json(json_file, outcome.report)  # before anything else: what follows may fail
        finally:
            console.close_report(outcome.report)
        found, notes = ([], []) if old is None else compare_reports(outcome.report, old)
        if compare is not None:
            console.print_comparison(found, notes, compare.name)
        if json_file is not None:
            console.note(f"written: {json_file}")
        if report is not None:
            files = write_report(report, outcome.report, found, notes)
            console.note(f"written to {report}: {', '.join(str(file.relative_to(report)) for file in files)}")
    if outcome.error is not None:
        raise outcome.error
    if outcome.signal is not None:
        raise typer.Exit(128 + outcome.signal)


def _command() -> str:
    name = Path(sys.argv[0]).name if sys.argv else ""
    return shlex.join([name if name == "rt-seg" else "rt-seg", *sys.argv[1:]])


def run_script(part: str) -> None:
    """Run one part as a program, with the options of `rt-seg benchmark` but ``--part``."""
    program = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    program.command()(benchmark)
    arguments = sys.argv[1:]
    sys.argv = ["rt-seg", "benchmark", "--part", part, *arguments]
    try:
        program(["--part", part, *arguments])
    except RtSegError as exc:
        sys.stderr.write(f"rt-seg: {' '.join(str(exc).split())}\n")
        sys.exit(exc.exit_code)
