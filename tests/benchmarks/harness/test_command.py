"""`rt-seg benchmark` from end to end: what it prints and writes, and its bad input."""

import json
import sys
from pathlib import Path

import pytest

from rt_seg.benchmarks.harness.files import SCHEMA_VERSION, read_json, to_json

from .made_up import TO, Parts, assert_one_line, benchmark


@pytest.mark.usefixtures("parts")
def test_tables_show_median_interval_and_what_is_too_little() -> None:
    """A median stands with its interval, a scattered one with a tilde, and a dash where samples do not suffice."""
    result = benchmark()
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    (calm,) = (line.split() for line in lines if line.split()[:2] == ["one", "<thread>"])
    assert calm[2:] == ["100.2", f"(100.0{TO}100.4)", "10.00", "10.00", "-", "10.00", "0.8500", "-"]
    (wild,) = (line.split() for line in lines if line.split()[:2] == ["two", "threads"])
    assert wild[2:] == ["~45.0", f"(30.0{TO}60.0)", "-", "-", "-", "-", "-", "f32"]
    assert "never measured" not in result.stdout
    assert "other programs used" in result.stdout
    assert "made up" in result.stderr


@pytest.mark.usefixtures("parts")
@pytest.mark.parametrize("columns", [100, 80])
def test_narrow_terminal_shows_fewer_intervals_but_whole_figures(columns: int) -> None:
    """No cell is cut: intervals are left out from the last column on, and headings break."""
    result = benchmark(columns=columns)
    assert result.exit_code == 0, result.output
    assert "\N{HORIZONTAL ELLIPSIS}" not in result.stdout
    table = result.stdout.partition("The same")[0].splitlines()
    (line,) = (line for line in table if line.split()[:2] == ["one", "<thread>"])
    assert len(line) <= columns
    assert [word for word in line.split()[2:] if not word.startswith("(")] == [
        "100.2", "10.00", "10.00", "-", "10.00", "0.8500", "-",
    ]  # fmt: skip


@pytest.mark.usefixtures("parts")
def test_json_holds_everything_and_reads_back_equal(tmp_path: Path) -> None:
    """Schema, machine, versions, settings, each repeat and the raw histograms are in the file."""
    file = tmp_path / "new.json"
    assert benchmark("--json", file, "--duration", 7).exit_code == 0
    values = json.loads(file.read_text())
    assert (values["schema"], values["schema_version"], values["complete"]) == (
        "rt-seg benchmark",
        SCHEMA_VERSION,
        True,
    )
    assert values["machine"]["usable_cores"] >= 1
    assert values["machine"]["cpu"]
    assert {"rt-seg", "numpy", "openvino"} <= values["versions"].keys()
    assert values["settings"]["seconds"] == 7
    row = values["parts"][0]["result"]["tables"][0]["rows"][0]
    assert row["histograms"] == {"latency": [[10_000, 150]]}
    assert len(row["values"]["rate"]) == 5
    assert set(values["parts"][0]["background"]) == {"others_share", "stolen_share"}
    report = read_json(file)
    assert report.parts[0].result.tables[0].rows[0].histograms["latency"].percentile(90) == 10.0
    assert json.loads(json.dumps(to_json(report))) == values


def test_quick_means_few_repeats_and_small(parts: Parts) -> None:
    """`--quick` reaches the parts, and the time that was asked for, too."""
    assert benchmark("--quick").exit_code == 0
    assert benchmark("--duration", 90, "--engine", "cpu").exit_code == 0
    quick, long = parts["first"].seen
    assert (quick.quick, quick.repeats) == (True, 3)
    assert quick.seconds < 10
    assert (long.quick, long.engine) == (False, "cpu")
    assert long.seconds == pytest.approx(90, abs=1)
    assert long.repeats >= 4


def test_bad_input_is_one_line_before_the_work(parts: Parts, tmp_path: Path) -> None:
    """Engine, clip, data and outputs are looked at first; each has its exit code."""
    empty = tmp_path / "empty.mp4"
    empty.write_bytes(b"")
    assert_one_line(benchmark("--engine", tmp_path / "no.onnx"), 5, "no.onnx", "there is no such engine")
    for name in ("text.onnx", "text.engine", "text.keras"):
        (tmp_path / name).write_text("hello")
    assert_one_line(benchmark("--engine", tmp_path / "text.onnx"), 5, "text.onnx")
    assert_one_line(benchmark("--engine", tmp_path / "text.engine"), 5, "text.engine")
    assert_one_line(benchmark("--engine", empty), 5, "empty.mp4", "is no engine")
    assert_one_line(benchmark("--keras", tmp_path / "text.keras"), 5, "text.keras", "is no Keras file")
    assert_one_line(benchmark("--keras", tmp_path / "no.keras"), 5, "no.keras")
    assert_one_line(benchmark("--source", empty), 3, "empty.mp4")
    assert_one_line(benchmark("--source", tmp_path / "no.mp4"), 3, "no.mp4")
    assert_one_line(benchmark("--data", tmp_path / "no-data"), 6, "no-data")
    assert_one_line(benchmark("--json", tmp_path / "missing" / "a.json"), 7, "does not exist")
    assert_one_line(benchmark("--json", tmp_path / "a.txt"), 7, ".json")
    assert_one_line(benchmark("--report", tmp_path / "missing" / "report"), 7, "does not exist")
    assert_one_line(benchmark("--report", empty), 7, "empty.mp4")
    assert_one_line(benchmark("--part", "speed"), 2, "no part speed", "first")
    assert parts["first"].seen == []


def test_without_matplotlib_one_line_says_how_to_get_it(
    parts: Parts, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is asked for before the work, and only for a report."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert_one_line(benchmark("--report", tmp_path / "report"), 9, "pip install 'rt-seg[plots]'")
    assert parts["first"].seen == []
    assert benchmark("--json", tmp_path / "a.json").exit_code == 0
