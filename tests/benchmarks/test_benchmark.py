"""`rt-seg benchmark` from end to end, with a part that is made up and takes no time; its files, and its bad input."""

import json
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest
from typer.testing import CliRunner, Result

from rt_seg.benchmarks.harness.arithmetic import Histogram
from rt_seg.benchmarks.harness.files import SCHEMA_VERSION, read_json, to_json
from rt_seg.benchmarks.harness.part import PARTS, Part, Progress, Rounds, Settings
from rt_seg.benchmarks.harness.plots import NAMES
from rt_seg.benchmarks.harness.process import call_fresh
from rt_seg.benchmarks.harness.results import (
    Column,
    Headline,
    PartResult,
    Row,
    Table,
    Timeline,
    percentile_columns,
)
from rt_seg.cli import app
from rt_seg.errors import EngineError, InputError, ModelError

pytestmark = pytest.mark.slow  # most of them run a whole process or stream

TO = "\N{EN DASH}"  # between the ends of an interval


def made_up(name: str = "first", speed: float = 100.0, *, repeats: int = 5) -> PartResult:
    """Figures that scatter by a tenth of a percent around a speed."""
    values = [speed * (1 + 0.001 * number) for number in range(repeats)]
    rows = (
        Row("one <thread>", "an engine", {"rate": values}, {"mdice": 0.85}, {"latency": Histogram({10_000: 150})}),
        Row("two threads", "an engine", {"rate": [30.0, 60.0]}, {"kind": "f32"}),
    )
    columns = (
        Column("rate", "frames", "1/s", "higher"),
        *percentile_columns("latency"),
        Column("mdice", "mDice", digits=4),
        Column("kind", "kind"),
        Column("never", "never measured"),
    )
    return PartResult(
        name=name,
        title=f"Made up: {name}",
        tables=(Table("all", "A table", columns, rows), Table("turned", "The same", columns, rows, turned=True)),
        notes=("a note",),
        timelines=(Timeline("delay", "ms", [0.0, 1.0], [2.0, 3.0], [0.5]),),
        setup={"size": 64},
        headlines=(Headline("frames", "all", "an engine, one <thread>", "rate"),),
    )


class FakePart:
    """A part without work: calls a function, such as one that presses Ctrl-C."""

    target = "nothing"
    help = "made up"

    def __init__(self, measure: Callable[[], PartResult], *, default: bool = True) -> None:
        self._measure = measure
        self.default = default
        self.seen: list[Settings] = []

    def measure(self, settings: Settings, progress: Progress) -> PartResult:
        self.seen.append(settings)
        progress.update(0.5, "half")
        return self._measure()


Parts = dict[str, FakePart]


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Parts]:
    """The table of parts, with one that is made up in place of the real ones."""
    real = dict(PARTS)
    PARTS.clear()
    yield {"first": add(monkeypatch, "first", made_up)}
    PARTS.clear()
    PARTS.update(real)  # in their order, which undone deletions would turn around


def add(monkeypatch: pytest.MonkeyPatch, name: str, measure: Callable[[], PartResult]) -> FakePart:
    """Add a part to the table, or replace it."""
    part = FakePart(measure)
    monkeypatch.setitem(PARTS, name, cast("Part", part))
    return part


def benchmark(*arguments: object) -> Result:
    """Run the command line in this process."""
    return CliRunner(env={"COLUMNS": "120"}).invoke(app, ["benchmark", *map(str, arguments)])


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


@pytest.mark.usefixtures("parts")
def test_ctrl_c_keeps_what_is_done(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A signal in the second part leaves the first one, says what is missing, and writes the file."""

    def press() -> PartResult:
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("the signal did not end the part")

    add(monkeypatch, "second", press)
    add(monkeypatch, "third", made_up)
    file = tmp_path / "new.json"
    result = benchmark("--json", file)
    assert result.exit_code == 130
    assert "INCOMPLETE: it ended in the part second, whose figures are left out; not begun: third" in result.stdout
    assert "Made up: first" in result.stdout
    values = json.loads(file.read_text())
    assert (values["complete"], values["stopped_in"]) == (False, "second")
    assert [part["result"]["name"] for part in values["parts"]] == ["first"]


@pytest.mark.usefixtures("parts")
def test_failing_part_keeps_what_is_done(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The error ends the command with its own code, after the parts before it are shown and written."""

    def fail() -> PartResult:
        raise EngineError("the engine broke; load it again")

    add(monkeypatch, "second", fail)
    file = tmp_path / "new.json"
    result = benchmark("--json", file)
    assert result.exit_code == EngineError.exit_code
    assert result.stderr.strip().splitlines()[-1] == "rt-seg: the engine broke; load it again"
    assert "Made up: first" in result.stdout
    assert json.loads(file.read_text())["stopped_in"] == "second"


def broken() -> PartResult:
    """A defect of ours."""
    raise KeyError("no such column")


def interrupted() -> PartResult:
    """Ctrl-C that no handler of ours took."""
    raise KeyboardInterrupt


def out_of_memory() -> PartResult:
    """What a large picture may do."""
    raise MemoryError


@pytest.mark.usefixtures("parts")
@pytest.mark.parametrize(
    ("fail", "error"), [(broken, KeyError), (out_of_memory, MemoryError), (interrupted, SystemExit)]
)
def test_any_end_of_a_part_keeps_what_is_done(
    fail: Callable[[], PartResult], error: type[BaseException], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Also a defect, which is raised, does not take the parts before it along."""
    add(monkeypatch, "second", fail)
    file = tmp_path / "new.json"
    result = benchmark("--json", file)
    assert isinstance(result.exception, error)
    assert result.exit_code == (130 if error is SystemExit else 1)
    assert "Made up: first" in result.stdout
    assert "INCOMPLETE: it ended in the part second" in result.stdout
    values = json.loads(file.read_text())
    assert (values["complete"], values["stopped_in"], len(values["parts"])) == (False, "second", 1)


@pytest.mark.usefixtures("parts")
def test_compare_tells_change_from_noise(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A tenth faster is better, the same is within noise, and two repeats are too few to say."""
    old = tmp_path / "old.json"
    assert benchmark("--json", old).exit_code == 0
    assert "within noise" in verdict(benchmark("--compare", old), "one <thread>")
    add(monkeypatch, "first", lambda: made_up(speed=110.0))
    faster = benchmark("--compare", old)
    assert re.search(rf"1\.100 \(1\.09\d{TO}1\.10\d\)\s+better", verdict(faster, "one <thread>"))
    assert "too few repeats" in verdict(faster, "two threads")
    assert "chance cannot be told from change" in faster.stdout
    add(monkeypatch, "first", lambda: made_up(speed=90.0))
    assert "worse" in verdict(benchmark("--compare", old), "one <thread>")


def verdict(result: Result, case: str) -> str:
    """The line of a case in the comparison."""
    assert result.exit_code == 0, result.output
    lines = result.stdout.partition("Against old.json")[2].splitlines()
    return next(line for line in lines if case in line)


@pytest.mark.usefixtures("parts")
def test_compare_leaves_out_what_was_measured_on_something_else(tmp_path: Path) -> None:
    """Another clip or model is another measurement: no ratio is taken."""
    old = tmp_path / "old.json"
    assert benchmark("--json", old).exit_code == 0
    values = json.loads(old.read_text())
    values["parts"][0]["result"]["setup"]["size"] = 128
    values["machine"]["cpu"] = "another"
    old.write_text(json.dumps(values))
    result = benchmark("--compare", old)
    assert result.exit_code == 0
    assert "size 128 before, 64 now" in result.stdout
    assert "another machine: cpu" in result.stdout
    assert "nothing that both runs measured" in result.stdout


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("no json", "is not JSON"),
        ('{"schema": "something"}', "is no benchmark"),
        ("[1]", "is no benchmark"),
        ('{"schema": "rt-seg benchmark", "schema_version": 0}', "schema version 0"),
        (f'{{"schema": "rt-seg benchmark", "schema_version": {SCHEMA_VERSION}}}', "is damaged"),
        (None, "cannot be read"),
    ],
)
def test_unusable_old_file_is_said_before_the_work(
    content: str | None, says: str, parts: Parts, tmp_path: Path
) -> None:
    """One line names the file and what is wrong with it, and no part ran."""
    old = tmp_path / "old.json"
    if content is not None:
        old.write_text(content)
    assert_one_line(benchmark("--compare", old), InputError.exit_code, says, "old.json")
    assert parts["first"].seen == []


def assert_one_line(result: Result, exit_code: int, *says: str) -> None:
    """An error on purpose, in one line."""
    assert result.exit_code == exit_code, result.output
    (line,) = result.stderr.splitlines()
    assert line.startswith("rt-seg: ")
    for text in says:
        assert text in line
    assert result.stdout == ""


def test_bad_input_is_one_line_before_the_work(parts: Parts, tmp_path: Path) -> None:
    """Engine, clip, data and outputs are looked at first; each has its exit code."""
    empty = tmp_path / "empty.mp4"
    empty.write_bytes(b"")
    assert_one_line(benchmark("--engine", tmp_path / "no.onnx"), 5, "no.onnx", "there is no such engine")
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


@pytest.mark.usefixtures("parts")
def test_report_is_one_page_with_everything_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page loads nothing, escapes what it shows and draws what there is; Markdown and JSON lie beside it."""
    folder, old = tmp_path / "report", tmp_path / "old.json"
    folder.mkdir()
    (folder / f"{min(NAMES)}.png").write_bytes(b"of an earlier run")
    assert benchmark("--json", old).exit_code == 0
    monkeypatch.setattr("sys.argv", ["rt-seg", "benchmark", "--report", "report"])
    result = benchmark("--report", folder, "--compare", old)
    assert result.exit_code == 0, result.output
    assert {file.name for file in folder.iterdir()} == {
        "report.html",
        "report.md",
        "benchmark.json",
        "first-timeline.png",
    }
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"(?:src|href)\s*=\s*[\"'](?!#)", page)  # an SVG refers to its own parts
    assert "@import" not in page
    assert "<script" not in page
    assert "one &lt;thread&gt;" in page
    assert "one <thread>" not in page
    assert page.count("<svg") == 1
    assert "var(--series-1)" in page
    assert "within noise" in page
    assert "$" not in page
    text = (folder / "report.md").read_text(encoding="utf-8")
    assert f"| an engine, one <thread> | 100.2 (100.0{TO}100.4) | 10.00 | 10.00 | - | 10.00 | 0.8500 | - |" in text
    assert text.startswith("`rt-seg benchmark --report report`, ")
    assert [part.result.name for part in read_json(folder / "benchmark.json").parts] == ["first"]


def test_rounds_are_at_least_what_was_asked_for() -> None:
    """However short the time, each side has its turns; and the bar never goes beyond its end."""
    shares: list[float] = []

    class Bar:
        def update(self, done: float, doing: str) -> None:
            assert doing in ("left", "right")
            shares.append(done)

    rounds = Rounds(1e-9, 3, 2, Bar())
    numbers: list[int] = []
    for number in rounds:
        numbers.append(number)
        rounds.turn("left")
        rounds.turn("right")
    assert numbers == [0, 1, 2]
    assert all(0 <= share <= 1 for share in shares)
    assert list(rounds.spent) == ["preparation", "left", "right"]


def test_parts_share_the_time(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each gets its share of what is left, so what one does not need is there for those after it."""
    second = add(monkeypatch, "second", made_up)
    assert benchmark("--duration", 100).exit_code == 0
    assert parts["first"].seen[0].seconds == pytest.approx(50, abs=1)
    assert second.seen[0].seconds == pytest.approx(100, abs=2)


def test_fresh_process_carries_errors_home(tmp_path: Path) -> None:
    """An error on purpose comes back as itself; a process that broke down is an engine's error with its last words."""
    target = "rt_seg.benchmarks.engine_calls:judge_side"
    missing = str(tmp_path / "no.onnx")
    with pytest.raises(ModelError, match="no such model"):
        call_fresh(target, kind="OpenVINO", precision="f32", model=missing, data=[])
    with pytest.raises(EngineError, match="AttributeError"):
        call_fresh("rt_seg.benchmarks.engine_calls:no_such_function")
    with pytest.raises(EngineError, match="was ended by SIGABRT"):
        call_fresh("os:abort")
