"""`ResultsSink`: what was found, as JSON lines: one JSON object a line, in the file once its frame is done.

The first line is the header:

| key | value |
|---|---|
| `kind` | `"header"` |
| `schema_version` | 1 |
| `rt_seg_version` | version of rt-seg that wrote it |
| `source` | `name`, `kind`, `width`, `height`, `fps`, `time_base` (`"1/90000"`), `start_seconds`, `pixel_aspect` |
| `model` | the model spec, all its fields |
| `engine` | `backend`, `device`, `precision`, `parallel_calls`, `notes`, `model_path` |

`time_base` is the unit of the source's timestamps in seconds, `pixel_aspect` the width of a pixel over its height, such
as `"16/15"`.

Then one line a frame of the source, in order (none for pictures that stand in for missing ones):

| key | value |
|---|---|
| `kind` | `"frame"` |
| `index` | position in the delivered stream, from 0 |
| `pts_seconds` | stream time in seconds; 0 is the container's start |
| `state` | what the stream was doing: `"segmenting"`, or what is wrong, such as `"mask withheld: too old"` |
| `segmented_index` | `index` of the frame that the polyps were found in; it may be an earlier one; null: no mask |
| `polyps` | list, largest first; empty without a mask, which is not the same as none found |
| `stages_ms` | milliseconds that each stage worked on the frame, by name |

A polyp has `box` (`[x, y, width, height]` in source pixels), `area_px` (source pixels), `area_fraction` (0-1, of
the frame), `confidence` (0-1, mean probability over its area) and, where tracking is on, `track_id`.
"""

import json
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rt_seg.engines.engine import EngineInfo
from rt_seg.engines.spec import ModelSpec
from rt_seg.errors import OutputError
from rt_seg.realtime.frame import Polyp, Rendered
from rt_seg.realtime.sources.source import SourceInfo

from .files import OutputFile, check_output_file

SCHEMA_VERSION = 1


def results_header(info: SourceInfo, spec: ModelSpec, engine: EngineInfo) -> dict[str, Any]:
    """The first line of a results file, see the module's table."""
    return {
        "kind": "header",
        "schema_version": SCHEMA_VERSION,
        "rt_seg_version": version("rt-seg"),
        "source": {
            "name": info.name,
            "kind": info.kind,
            "width": info.width,
            "height": info.height,
            "fps": info.fps,
            "time_base": None if info.time_base is None else str(info.time_base),
            "start_seconds": info.start_seconds,
            "pixel_aspect": str(info.pixel_aspect),
        },
        "model": json.loads(spec.to_json()),
        "engine": asdict(engine),
    }


class ResultsSink:
    """Writes the results file. Passive and not thread-safe.

    Args:
        path: The ``.jsonl`` to write; an existing one is replaced when the first frame comes.
        header: What `results_header` made.
        source: The input file, which must not be overwritten (it may have a second name).

    Raises:
        OutputError: The path cannot be written, is the input, or does not end in ``.jsonl``.
    """

    def __init__(self, path: Path, header: dict[str, Any], source: Path | None = None) -> None:
        check_output_file(path, ".jsonl", source)
        self._path = path
        self._header = header
        self._file = OutputFile(path)

    @property
    def name(self) -> str:
        """See `Sink.name`."""
        return "results"

    @property
    def path(self) -> Path:
        """See `Sink.path`."""
        return self._path

    @property
    def notes(self) -> tuple[str, ...]:
        """See `Sink.notes`."""
        return ()

    def write(self, rendered: Rendered) -> None:
        """See `Sink.write`."""
        if self._file.closed:
            raise OutputError(f"{self._path}: the results are closed; start another file")
        if not rendered.signal:
            return
        whole = self._file.tell()
        lines = _line(_record(rendered))
        try:
            self._file.write(lines if self._file.created else _line(self._header) + lines)
        except OutputError:
            self._drop_behind(whole)
            raise

    def close(self) -> None:
        """See `Sink.close`."""
        self._file.close()

    def _drop_behind(self, whole: int) -> None:
        """Leave whole lines only, or nothing."""
        if whole:
            self._file.cut(whole)
        else:
            self._file.remove()


def _line(record: dict[str, Any]) -> bytes:
    return json.dumps(record, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def _record(rendered: Rendered) -> dict[str, Any]:
    segmentation = rendered.segmentation
    return {
        "kind": "frame",
        "index": rendered.frame.index,
        "pts_seconds": rendered.frame.pts_seconds,
        "state": rendered.state.value,
        "segmented_index": None if segmentation is None else segmentation.frame.index,
        "polyps": [] if segmentation is None else [polyp_record(polyp) for polyp in segmentation.polyps],
        "stages_ms": {name: round(span.milliseconds, 3) for name, span in rendered.spans.items()},
    }


def polyp_record(polyp: Polyp) -> dict[str, Any]:
    """A polyp as JSON values, see the module's last paragraph."""
    box = polyp.box
    record: dict[str, Any] = {
        "box": [box.x, box.y, box.width, box.height],
        "area_px": polyp.area_px,
        "area_fraction": round(polyp.area_fraction, 6),
        "confidence": round(polyp.confidence, 4),
    }
    if polyp.track_id is not None:
        record["track_id"] = polyp.track_id
    return record
