"""The results file: a header line, then one line a frame."""

import errno
import io
import json
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rt_seg.engines.engine import EngineInfo
from rt_seg.engines.geometry import Box
from rt_seg.engines.spec import ModelSpec
from rt_seg.errors import OutputError
from rt_seg.realtime.frame import Polyp
from rt_seg.realtime.sinks.files import OutputFile
from rt_seg.realtime.sinks.results import ResultsSink, results_header
from rt_seg.realtime.sources.source import SourceInfo

IMAGE = np.zeros((48, 64, 3), np.uint8)
INFO = SourceInfo("in.mp4", "video", live=False, width=64, height=48, fps=29.97, time_base=Fraction(1, 30000))
SPEC = ModelSpec("tiny", 64, 64, quality={"mdice": 0.9})
ENGINE = EngineInfo("openvino", "a CPU", "f32", 2, ("chosen for a reason",), "tiny.onnx")


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_header_says_what_made_the_results(tmp_path: Path, make_rendered: Callable[..., Any]) -> None:
    """Schema, version, source, model and engine, readable back into a spec."""
    sink = ResultsSink(tmp_path / "out.jsonl", results_header(INFO, SPEC, ENGINE))
    sink.write(make_rendered(0, 0.0, IMAGE))
    sink.close()
    header = _lines(sink.path)[0]
    assert header["kind"] == "header"
    assert header["schema_version"] == 1
    assert header["rt_seg_version"]
    assert header["source"]["time_base"] == "1/30000"
    assert ModelSpec.from_json(json.dumps(header["model"])) == SPEC
    assert header["engine"] == {
        "backend": "openvino",
        "device": "a CPU",
        "precision": "f32",
        "parallel_calls": 2,
        "notes": ["chosen for a reason"],
        "model_path": "tiny.onnx",
    }


def test_a_frame_says_what_was_found_when_and_where(tmp_path: Path, make_rendered: Callable[..., Any]) -> None:
    """Index, exact time, polyps in source pixels, stage times; a track id only where there is one."""
    polyps = (
        Polyp(Box(3, 4, 20, 10), 150, 150 / 3072, 0.87654321),
        Polyp(Box(40, 30, 5, 5), 20, 20 / 3072, 1.0, track_id=7),
    )
    pts_seconds = 1001 / 30000
    sink = ResultsSink(tmp_path / "out.jsonl", {"kind": "header"})
    sink.write(make_rendered(0, 0.0, IMAGE))
    sink.write(make_rendered(1, pts_seconds, IMAGE, polyps=polyps))
    sink.close()
    _, empty, full = _lines(sink.path)
    assert empty["polyps"] == []
    assert full == {
        "kind": "frame",
        "index": 1,
        "pts_seconds": pts_seconds,
        "state": "segmenting",
        "segmented_index": 1,
        "polyps": [
            {"box": [3, 4, 20, 10], "area_px": 150, "area_fraction": 0.048828, "confidence": 0.8765},
            {"box": [40, 30, 5, 5], "area_px": 20, "area_fraction": 0.00651, "confidence": 1.0, "track_id": 7},
        ],
        "stages_ms": {"infer": 3.5},
    }


def test_an_older_mask_is_told_from_a_fresh_one(tmp_path: Path, make_rendered: Callable[..., Any]) -> None:
    """`segmented_index` is the frame that the polyps were found in."""
    shown, older = make_rendered(5, 0.5, IMAGE), make_rendered(3, 0.3, IMAGE)
    sink = ResultsSink(tmp_path / "out.jsonl", {})
    sink.write(replace(shown, segmentation=older.segmentation))
    sink.close()
    assert _lines(sink.path)[1]["index"] == 5
    assert _lines(sink.path)[1]["segmented_index"] == 3


def test_each_line_is_in_the_file_at_once(tmp_path: Path, make_rendered: Callable[..., Any]) -> None:
    """Before the file is closed every record is readable: a kill loses nothing that was found."""
    sink = ResultsSink(tmp_path / "out.jsonl", {})
    for index in range(3):
        sink.write(make_rendered(index, index / 30, IMAGE))
        assert len(_lines(sink.path)) == index + 2
    sink.close()


def test_no_frame_no_file(tmp_path: Path) -> None:
    """A run that fails before its first frame leaves nothing, and an older file as it was."""
    older = tmp_path / "older.jsonl"
    older.write_text("older")
    ResultsSink(older, {}).close()
    ResultsSink(tmp_path / "new.jsonl", {}).close()
    assert older.read_text() == "older"
    assert list(tmp_path.iterdir()) == [older]


def test_writing_after_close_is_refused(tmp_path: Path, make_rendered: Callable[..., Any]) -> None:
    """A closed file says so; closing again does nothing."""
    sink = ResultsSink(tmp_path / "out.jsonl", {})
    sink.write(make_rendered(0, 0.0, IMAGE))
    sink.close()
    sink.close()
    with pytest.raises(OutputError, match="closed"):
        sink.write(make_rendered(1, 1.0, IMAGE))


def test_a_failed_write_leaves_whole_lines(
    tmp_path: Path, make_rendered: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the disk fills up within a line, that line is taken back."""
    sink = ResultsSink(tmp_path / "out.jsonl", {})
    sink.write(make_rendered(0, 0.0, IMAGE))
    write = OutputFile.write

    def half(file: OutputFile, data: bytes) -> int:
        write(file, data[: len(data) // 2])
        raise OutputError(f"{errno.ENOSPC}")

    monkeypatch.setattr(OutputFile, "write", half)
    with pytest.raises(OutputError):
        sink.write(make_rendered(1, 0.1, IMAGE))
    sink.close()
    assert [line["index"] for line in _lines(sink.path)[1:]] == [0]


def test_a_write_that_takes_a_part_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A nearly full disk takes fewer bytes than it is given; the rest follows."""

    class Reluctant(io.FileIO):
        def write(self, data: Any, /) -> int:
            return super().write(bytes(data)[:3])

    monkeypatch.setattr(io, "FileIO", Reluctant)
    file = OutputFile(tmp_path / "out")
    assert file.write(b"0123456789") == 10
    file.close()
    assert (tmp_path / "out").read_bytes() == b"0123456789"
