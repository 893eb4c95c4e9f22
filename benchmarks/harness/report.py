"""The report of `rt-seg benchmark`: one HTML page with everything inside, Markdown to paste, PNGs, and the JSON."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from rt_seg.errors import MissingDependencyError, OutputError
from rt_seg.realtime.sinks.files import check_output_file, check_output_folder

from ..evaluate_files import write_whole
from .compare import Comparison
from .files import write_json
from .html_page import html_page
from .markdown import markdown
from .plots import NAMES, Plot, draw_plots
from .results import Report


def check_outputs(json_file: Path | None, report: Path | None) -> None:
    """Refuse, before any work is done, what could not be written.

    Raises:
        OutputError: A file or folder cannot be written.
        MissingDependencyError: A report is wanted, and matplotlib is not there.
    """
    if json_file is not None:
        check_output_file(json_file, ".json")
    if report is None:
        return
    check_output_folder(report)
    try:
        import_module("matplotlib")
    except ImportError as exc:
        raise MissingDependencyError(
            "the report needs matplotlib: pip install 'rt-seg[plots]', or leave --report out"
        ) from exc


def write_report(folder: Path, report: Report, comparisons: Sequence[Comparison], notes: Sequence[str]) -> list[Path]:
    """Write the report; what an earlier run left under these names is replaced.

    Args:
        folder: Made if it is missing.
        report: What was measured.
        comparisons: Against an earlier run; empty without one.
        notes: What a reader of the comparison must know.

    Returns:
        The files.

    Raises:
        OutputError: A file cannot be written.
    """
    plots = draw_plots(report)
    files = [folder / "report.html", folder / "report.md", folder / "benchmark.json"]
    write_whole(files[0], html_page(report, plots, comparisons, notes).encode())
    write_whole(files[1], markdown(report, comparisons, notes).encode())
    write_json(files[2], report)
    _remove_old_plots(folder, plots)
    for plot in plots:
        file = folder / f"{plot.name}.png"
        write_whole(file, plot.png)
        files.append(file)
    return files


def _remove_old_plots(folder: Path, plots: Sequence[Plot]) -> None:
    """Plots of an earlier run that this one does not draw would pass for its own."""
    for name in NAMES - {plot.name for plot in plots}:
        try:
            (folder / f"{name}.png").unlink(missing_ok=True)
        except OSError as exc:
            raise OutputError(
                f"{folder / name}.png: is of an earlier run and cannot be removed ({exc.strerror})"
            ) from exc
