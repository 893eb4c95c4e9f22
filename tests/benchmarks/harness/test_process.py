"""A call in a process of its own."""

from pathlib import Path

import pytest

from rt_seg.benchmarks.harness.process import call_fresh
from rt_seg.errors import EngineError, ModelError


@pytest.mark.slow
def test_fresh_process_carries_errors_home(tmp_path: Path) -> None:
    """An error on purpose comes back as itself; a process that broke down is an engine's error with its last words."""
    target = "rt_seg.benchmarks.engine_judge:judge_side"
    missing = str(tmp_path / "no.onnx")
    with pytest.raises(ModelError, match="no such model"):
        call_fresh(target, kind="OpenVINO", precision="f32", model=missing, data=[])
    with pytest.raises(EngineError, match="AttributeError"):
        call_fresh("rt_seg.benchmarks.engine_calls:no_such_function")
    with pytest.raises(EngineError, match="was ended by SIGABRT"):
        call_fresh("os:abort")
