"""Fixtures that every room's tests may use: a tiny deployable model whose answer is known."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import settings
from onnx import TensorProto, helper, numpy_helper

from rt_seg.engines.spec import CORE_INPUT, CORE_OUTPUT, INPUT_NAME, METADATA_KEY, OUTPUT_NAME, ModelSpec

# how long an example takes says how busy the machine is, not whether the code is right
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

# a shell that runs the tests in the background, and nohup, ignore these for them and all that they start
for number, action in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGQUIT, signal.SIG_DFL),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, action)

TinyModelWriter = Callable[..., Path]


def _tiny_onnx(spec: ModelSpec) -> onnx.ModelProto:
    """A deployable model, probability = red channel: a 1x1 convolution between the contract's two ends."""
    red = np.array([0, 0, 1 / 255], np.float32).reshape(1, 3, 1, 1)  # of BGR
    constants = {"red": red, "scale": np.float32(255), "zero": np.float32(0), "axis": np.array([1])}
    nodes = [
        helper.make_node("Cast", [INPUT_NAME], ["as_float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["as_float"], [CORE_INPUT], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", [CORE_INPUT, "red"], [CORE_OUTPUT]),
        helper.make_node("Mul", [CORE_OUTPUT, "scale"], ["scaled"]),
        helper.make_node("Round", ["scaled"], ["rounded"]),
        helper.make_node("Clip", ["rounded", "zero", "scale"], ["clipped"]),
        helper.make_node("Cast", ["clipped"], ["as_uint8"], to=TensorProto.UINT8),
        helper.make_node("Squeeze", ["as_uint8", "axis"], [OUTPUT_NAME]),
    ]
    shape: list[str | int | None] = ["N", spec.height, spec.width]
    graph = helper.make_graph(
        nodes,
        spec.name,
        [helper.make_tensor_value_info(INPUT_NAME, TensorProto.UINT8, [*shape, 3])],
        [helper.make_tensor_value_info(OUTPUT_NAME, TensorProto.UINT8, shape)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, {METADATA_KEY: spec.to_json()})
    # onnx annotates a bare PathLike
    onnx.checker.check_model(model, full_check=True)  # pyright: ignore[reportUnknownMemberType]
    return model


@pytest.fixture(scope="session", autouse=True)
def user_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keeps what rt-seg caches for the user out of the real user's cache: the directory used instead."""
    path = tmp_path_factory.mktemp("user_cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(path))
        yield path


@pytest.fixture(scope="session")
def write_tiny_model() -> TinyModelWriter:
    """Writes a deployable ONNX: ``write_tiny_model(path, width=64, height=64, **spec_fields) -> path``.

    Its probability is the red channel of the BGR picture, exactly.
    """

    def write(path: Path, **fields: Any) -> Path:
        values: dict[str, Any] = {"name": "tiny", "width": 64, "height": 64, **fields}
        path.write_bytes(_tiny_onnx(ModelSpec(**values)).SerializeToString())
        return path

    return write


@pytest.fixture(scope="session")
def tiny_model_path(write_tiny_model: TinyModelWriter, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A deployable ONNX of 64x64 whose probability is the red channel of the BGR picture; read-only."""
    return write_tiny_model(tmp_path_factory.mktemp("tiny") / "tiny.onnx")
