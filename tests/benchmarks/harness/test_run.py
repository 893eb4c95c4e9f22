"""The parts one after the other: they share the time, and whatever ends one keeps those before it."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from rt_seg.benchmarks.harness.results import PartResult
from rt_seg.errors import EngineError

from .made_up import Parts, add, benchmark, made_up


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


def test_parts_share_the_time(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each gets its share of what is left, so what one does not need is there for those after it."""
    second = add(monkeypatch, "second", made_up)
    assert benchmark("--duration", 100).exit_code == 0
    assert parts["first"].seen[0].seconds == pytest.approx(50, abs=1)
    assert second.seen[0].seconds == pytest.approx(100, abs=2)
