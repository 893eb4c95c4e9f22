"""A run against an earlier one: change is told from noise, and a file that is none is refused."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import Result

from rt_seg.benchmarks.harness.files import SCHEMA_VERSION
from rt_seg.errors import InputError

from .made_up import TO, Parts, add, assert_one_line, benchmark, made_up


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
    """What stands below a case in the comparison."""
    assert result.exit_code == 0, result.output
    return result.stdout.partition("Against old.json")[2].partition(case)[2].partition("\n\n")[0]


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
