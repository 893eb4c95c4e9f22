"""The acceptance run: without a GPU one line, on a pretended machine the whole report."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from rt_seg.benchmarks import gpu_acceptance, gpu_checks
from rt_seg.engines.tensorrt.build import BuildSettings, BuiltEngine
from rt_seg.engines.tensorrt.manifest import EngineManifest

from ..engines.tensorrt.engine_files import write_engine
from ..engines.tensorrt.fakes import Machine, no_library


def run(*arguments: str) -> Any:
    """The command, in this process."""
    import typer

    app = typer.Typer()
    app.command()(gpu_acceptance.main)
    return CliRunner().invoke(app, arguments)


def test_without_a_gpu_it_is_one_line(tmp_path: Path) -> None:
    """A machine without a GPU learns why there is no report; nothing is left behind, and the exit code is 8."""
    with no_library():
        result = run("-o", str(tmp_path / "report"))
    assert result.exit_code == 8
    assert result.stderr.startswith("gpu_acceptance: there is no NVIDIA driver on this machine")
    assert result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_help_names_the_exit_codes() -> None:
    """`python -m` works, and says what the codes mean."""
    command = [sys.executable, "-m", "rt_seg.benchmarks.gpu_acceptance", "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "Exit codes: 0 accepted" in " ".join(shown.split())


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tiny_model_path: Path) -> Machine:
    """A machine that computes the tiny model's red channel, and a build that writes its engine."""
    machine = Machine(size=(64, 64))
    machine.install(monkeypatch)

    def build(settings: BuildSettings, *_: object) -> BuiltEngine:
        assert settings.output is not None
        write_engine(settings.output, tiny_model_path, options={"model": str(tiny_model_path)})
        return BuiltEngine(settings.output, EngineManifest.load(settings.output), None, (), (), 1_500_000)

    monkeypatch.setattr(gpu_acceptance, "build_engine", build)
    monkeypatch.setattr(gpu_checks, "_WARM_UP_SECONDS", 0)  # the number of inferences is the same on any machine
    return machine


def test_the_report_has_every_figure(machine: Machine, tmp_path: Path) -> None:
    """Build, gate, parity, latency with and without a graph, soak: as Markdown and as JSON, of the same figures."""
    result = run("-o", str(tmp_path), "--latency-frames", "30", "--soak-frames", "20")
    assert result.exit_code == 0, result.output
    figures = json.loads((tmp_path / "report.json").read_text())
    assert (figures["parity"]["mdice"], figures["parity"]["repeats_exactly"]) == (1.0, True)
    graph, plain = (figures["latency"][name]["milliseconds"] for name in ("cuda graph", "plain enqueue"))
    assert set(graph) == set(plain) == {"h2d", "compute", "d2h", "gpu", "end_to_end"}
    assert graph["h2d"]["p50"] == pytest.approx(0.25, rel=0.01)
    assert graph["gpu"]["p50"] == pytest.approx(0.75, rel=0.01)
    assert graph["h2d"]["p99"] is None  # too few to say
    assert (figures["soak"]["frames"], figures["soak"]["wrong_answers"]) == (20, 0)
    report = (tmp_path / "report.md").read_text()
    assert report == result.stdout
    assert report.startswith("# rt-seg on NVIDIA RTX A4000 (compute capability 8.6): accepted")
    assert "| copy in (H2D) | 0.2" in report
    assert "too few frames" in report
    assert machine.left() == {}
    assert machine.broken_rules == []


def test_a_gpu_that_computes_something_else_is_not_accepted(machine: Machine, tmp_path: Path) -> None:
    """The report is written all the same, and the exit code says no."""
    machine.network = lambda frames: 255 - frames[..., 2]
    result = run("-o", str(tmp_path), "--latency-frames", "20", "--soak-frames", "3")
    assert result.exit_code == 1
    assert "**not accepted**" in (tmp_path / "report.md").read_text()


def test_an_answer_that_changes_is_counted(machine: Machine, tmp_path: Path) -> None:
    """A GPU that is right at first and wrong later does not pass the soak."""
    answered = 0

    def tiring(frames: Any) -> Any:
        nonlocal answered
        answered += 1
        return frames[..., 2] if answered < 400 else np.zeros_like(frames[..., 2])

    machine.network = tiring
    result = run("-o", str(tmp_path), "--latency-frames", "20", "--soak-frames", "600")
    assert result.exit_code == 1
    assert json.loads((tmp_path / "report.json").read_text())["soak"]["wrong_answers"] > 0


def test_a_wrong_batch_is_a_wrong_command_line() -> None:
    """Batch sizes are numbers."""
    assert run("--batch", "one").exit_code == 2
