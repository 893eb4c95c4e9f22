"""OpenVINO is imported without the tools that call out."""

import os
import subprocess
import sys
from pathlib import Path

_PROGRAM = """
import sys
import numpy as np
from rt_seg import load_engine
with load_engine(sys.argv[1]) as engine:
    engine.infer(np.zeros((1, engine.spec.height, engine.spec.width, 3), np.uint8))
assert "openvino" in sys.modules
print(*(name for name in sys.modules if "telemetry" in name))
"""


def test_an_engine_sends_and_leaves_no_telemetry(tiny_model_path: Path, tmp_path: Path) -> None:
    """Loading and running a model imports nothing that reports it and keeps no identifier in the home folder."""
    # OpenVINO reports nothing where CI is "true"; here the import itself is what must not happen
    environment = {name: value for name, value in os.environ.items() if name != "CI"} | {"HOME": str(tmp_path)}
    ended = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(tiny_model_path)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.strip() == ""
    assert not (tmp_path / "intel").exists()


def test_the_tools_stay_importable(tmp_path: Path) -> None:
    """A program that wants OpenVINO's conversion tools can still import them."""
    program = "import rt_seg.engines.openvino_runtime, openvino.tools.ovc; openvino.tools.ovc.convert_model"
    environment = os.environ | {"HOME": str(tmp_path), "CI": "true"}  # without a report of this very import
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)
