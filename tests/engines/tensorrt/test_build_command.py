"""`rt-seg build-engine` on the command line: help, report, JSON, exit codes, signals."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from rt_seg.cli import app
from rt_seg.engines.tensorrt.manifest import EngineManifest, manifest_path

from .networks import convolutions, deployable, write
from .test_fp16 import MILD, OVERFLOWING

pytestmark = pytest.mark.slow

_RTX = ("--runtime", "tensorrt-rtx", "--gpu", "SM86")


@pytest.fixture(scope="module")
def small_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A deployable file of 32x32 that passes its gate; read-only."""
    return write(deployable(*convolutions(MILD)), tmp_path_factory.mktemp("small") / "small.onnx")


def call(*arguments: str | Path) -> Result:
    """`rt-seg build-engine ARGUMENTS` in this process."""
    runner = CliRunner(env={"COLUMNS": "200", "TERM": "dumb"})
    return runner.invoke(app, ["build-engine", *map(str, arguments)])


def test_help_says_what_was_never_run() -> None:
    """A reader learns what has been run on a GPU and what has not, what each exit code means, and every option."""
    text = " ".join(call("--help").stdout.split())
    assert "never been run on a GPU: the engines, and building with TensorRT itself" in text
    codes = {int(code) for code in re.findall(r"\b(\d+) [a-z]", text.partition("Exit codes:")[2])}
    assert codes >= {0, 2, 5, 6, 7, 8, 9, 130, 143, 129}
    options = "--output --precision --runtime --batch --gpu --timing-cache --gate-data --json"
    assert all(option in text for option in options.split())


def test_report_shows_what_was_measured(small_path: Path, tmp_path: Path) -> None:
    """The closing report has the gate's figures and says that nothing ran on a GPU; notes are on standard error."""
    engine = tmp_path / "small.engine"
    result = call(small_path, "-o", engine, *_RTX)
    assert result.exit_code == 0, result.output
    manifest = EngineManifest.load(engine)
    assert f"mDice {manifest.gate['mdice']:.4f} against the float32 masks of 5 pictures" in result.stdout
    assert "SM86" in result.stdout
    assert "0 float32 tensors in the network" in result.stdout
    assert "frames_float: up to 255, FP16 ends at 257 times that" in result.stdout
    assert "Built, not run" in result.stdout
    assert "gate: mDice" in result.stderr


def test_json_is_all_of_standard_output(small_path: Path, tmp_path: Path) -> None:
    """With --json a program reads the manifest, the gate and the layers that lose most, and nothing else."""
    engine = tmp_path / "small.engine"
    result = call(small_path, "-o", engine, *_RTX, "--batch", "1,2", "--json")
    assert result.exit_code == 0, result.output
    values: dict[str, Any] = json.loads(result.stdout)
    assert values["engine"] == str(engine)
    assert values["size_bytes"] == engine.stat().st_size
    assert values["passed"] is True
    assert values["run_on_a_gpu"] is False
    assert values["manifest"]["batches"] == [1, 2]
    layers = {layer["name"]: layer for layer in values["layers"]}
    assert layers["frames_float"]["largest"] == 255
    assert layers["frames_float"]["headroom"] == pytest.approx(65504 / 255)
    assert layers[values["worst_layers"][0]]["loss"] == max(layer["loss"] for layer in layers.values()) > 0


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (("--batch", "one"), 2, "whole numbers"),
        (("--batch", "0"), 2, "whole numbers"),
        (("--gpu", "SM90"), 2, "does not build for SM90"),
        (("--precision", "fp8"), 2, "fp8"),
        (("--gate-data", "nowhere"), 6, "nowhere: is not a folder"),
        (("--runtime", "tensorrt"), 8, "TensorRT builds on the GPU"),
        (("--precision", "int8"), 5, "has no small.int8.onnx"),
    ],
)
def test_refusals_are_one_line_and_their_exit_code(
    arguments: tuple[str, ...],
    code: int,
    reason: str,
    small_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What cannot be ends with the documented code, the reason on standard error, and no file."""
    monkeypatch.setattr("rt_seg.engines.tensorrt.driver._LIBRARY", "libno-driver.so.1")
    result = call(small_path, "-o", tmp_path / "small.engine", *arguments)
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert reason in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_ended_process_leaves_nothing(number: int, code: int, small_path: Path, tmp_path: Path) -> None:
    """A build that is ended from outside says so by its exit code and leaves no file."""
    command = [
        sys.executable,
        "-m",
        "rt_seg",
        "build-engine",
        str(small_path),
        "-o",
        str(tmp_path / "small.engine"),
        *_RTX,
    ]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        process.stderr.readline()  # the first note: it is at work
        os.kill(process.pid, number)
        process.communicate(timeout=120)
    assert process.returncode == code
    assert [path.name for path in tmp_path.iterdir()] == []


def test_manifest_lies_beside_the_engine(small_path: Path, tmp_path: Path) -> None:
    """`NAME.engine.json` is written with `NAME.engine`, and both are replaced by a later build."""
    engine = tmp_path / "small.engine"
    assert call(small_path, "-o", engine, *_RTX, "--precision", "fp32").exit_code == 0
    first = engine.read_bytes()
    assert call(small_path, "-o", engine, *_RTX).exit_code == 0
    assert engine.read_bytes() != first
    assert EngineManifest.load(engine).precision == "fp16"
    assert sorted(tmp_path.iterdir()) == [engine, manifest_path(engine)]


def test_kept_nodes_are_named_and_have_no_end_in_fp16(tmp_path: Path) -> None:
    """An engine that passed with nodes in float32 says which; the headroom is that of the others."""
    path = write(deployable(*convolutions(OVERFLOWING)), tmp_path / "hot.onnx")
    result = call(path, "-o", tmp_path / "hot.engine", *_RTX)
    assert result.exit_code == 0, result.output
    report = " ".join(result.stdout.split())
    assert "in float32, as the gate demands: conv5, relu5, conv6; " in report
    assert "frames_float: up to 255" in report
    assert EngineManifest.load(tmp_path / "hot.engine").options["kept_in_float32"] == "conv5, relu5, conv6"
