"""A report as JSON: written whole, and read back only if it is what this version writes."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from rt_seg.errors import InputError

from ..evaluate_files import write_whole
from .arithmetic import Histogram
from .results import Background, Column, Headline, Measured, PartResult, Report, Row, Table, Timeline

SCHEMA = "rt-seg benchmark"
SCHEMA_VERSION = 2
_ADVICE = "give a file that rt-seg benchmark --json wrote"


def to_json(report: Report) -> dict[str, Any]:
    """A report as JSON values; histograms are pairs of microseconds and counts, sorted."""
    values = asdict(report)
    values["complete"] = report.stopped_in is None
    for measured, part in zip(values["parts"], report.parts, strict=True):
        for table, of in zip(measured["result"]["tables"], part.result.tables, strict=True):
            for row, source in zip(table["rows"], of.rows, strict=True):
                row["histograms"] = {key: sorted(one.counts.items()) for key, one in source.histograms.items()}
    return {"schema": SCHEMA, "schema_version": SCHEMA_VERSION, "histogram_unit": "us", **values}


def write_json(path: Path, report: Report) -> None:
    """Write a report, or leave no file.

    Raises:
        OutputError: It cannot be written.
    """
    write_whole(path, json.dumps(to_json(report), indent=1, allow_nan=False).encode() + b"\n")


def read_json(path: Path) -> Report:
    """Read what `write_json` wrote.

    Raises:
        InputError: The file is missing, something else, or of another schema version.
    """
    try:
        loaded: object = json.loads(path.read_bytes())
    except OSError as exc:
        raise InputError(f"{path}: cannot be read ({exc.strerror}); {_ADVICE}") from exc
    except ValueError as exc:
        raise InputError(f"{path}: is not JSON; {_ADVICE}") from exc
    values = cast("dict[str, Any]", loaded) if isinstance(loaded, dict) else {}
    if values.get("schema") != SCHEMA:
        raise InputError(f"{path}: is no benchmark; {_ADVICE}")
    version = values.get("schema_version")
    if version != SCHEMA_VERSION:
        raise InputError(
            f"{path}: has schema version {version}, this rt-seg compares {SCHEMA_VERSION}; "
            "measure again with the version of rt-seg that you compare with"
        )
    try:
        return _report(values)
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise InputError(f"{path}: is damaged ({type(exc).__name__}: {exc}); measure again") from exc


def _report(values: dict[str, Any]) -> Report:
    return Report(
        created=values["created"],
        command=values["command"],
        settings=values["settings"],
        machine=values["machine"],
        versions=values["versions"],
        parts=tuple(_measured(part) for part in values["parts"]),
        planned=tuple(values["planned"]),
        stopped_in=values["stopped_in"],
        warnings=tuple(values["warnings"]),
    )


def _measured(values: dict[str, Any]) -> Measured:
    result = values["result"]
    part = PartResult(
        name=result["name"],
        title=result["title"],
        tables=tuple(_table(table) for table in result["tables"]),
        notes=tuple(result["notes"]),
        timelines=tuple(Timeline(**timeline) for timeline in result["timelines"]),
        setup=result["setup"],
        headlines=tuple(Headline(**headline) for headline in result["headlines"]),
        spent=result["spent"],
    )
    return Measured(part, values["seconds"], Background(**values["background"]))


def _table(values: dict[str, Any]) -> Table:
    columns = tuple(Column(**column) for column in values["columns"])
    return Table(values["key"], values["title"], columns, tuple(_row(row) for row in values["rows"]), values["turned"])


def _row(values: dict[str, Any]) -> Row:
    histograms = {key: Histogram(dict(pairs)) for key, pairs in values["histograms"].items()}
    return Row(values["name"], values["group"], values["values"], values["exact"], histograms)
