"""A call in a process of its own."""

from pathlib import Path
from typing import cast

import numpy as np
import pytest

from rt_seg.benchmarks.harness.machine import peak_mib
from rt_seg.benchmarks.harness.process import call_fresh
from rt_seg.errors import EngineError, ModelError


@pytest.mark.slow
def test_most_memory_of_a_process_is_its_own() -> None:
    """A process that was started by a large one does not count its memory."""
    large = np.ones(400 * 2**20, np.uint8)
    answer: object = call_fresh("rt_seg.benchmarks.harness.machine:peak_mib")
    assert cast("float", answer) < peak_mib() - 200
    assert large.nbytes / 2**20 < peak_mib()


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
