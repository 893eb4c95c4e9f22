"""Models for the engines' tests: a small network with real arithmetic, and its quantised neighbour."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import NodeProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat
from onnxruntime.quantization.quantize import quantize_static  # pyright: ignore[reportUnknownVariableType] - bare list

from rt_seg.engines.model_file import int8_neighbour, sha256_of
from rt_seg.engines.spec import CORE_INPUT, CORE_OUTPUT, INPUT_NAME, METADATA_KEY, ModelSpec

PairWriter = Callable[..., Path]


def edit_spec(path: Path, **changes: Any) -> None:
    """Change fields of the spec inside a model file."""
    model = onnx.load(path)
    entry = next(entry for entry in model.metadata_props if entry.key == METADATA_KEY)
    entry.value = replace(ModelSpec.from_json(entry.value), **changes).to_json()
    path.write_bytes(model.SerializeToString())


def _deepen(path: Path) -> None:
    """Put convolutions with a ReLU, a stride, an upscaling and a sigmoid between the contract's two ends."""
    model = onnx.load(path)
    rng = np.random.default_rng(0)

    def constant(name: str, value: Any) -> str:
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
        return name

    def weights(name: str, outputs: int, inputs: int) -> str:
        return constant(name, rng.standard_normal((outputs, inputs, 3, 3)) * np.sqrt(2 / (9 * inputs)))

    same: dict[str, Any] = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    core: list[NodeProto] = [
        helper.make_node("Mul", [CORE_INPUT, constant("per_255", 1 / 255)], ["unit"]),
        helper.make_node("Conv", ["unit", weights("w1", 16, 3)], ["c1"], strides=[2, 2], **same),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("Conv", ["r1", weights("w2", 16, 16)], ["c2"], **same),
        helper.make_node("Relu", ["c2"], ["r2"]),
        helper.make_node("Resize", ["r2", "", constant("twice", [1, 1, 2, 2])], ["up"], mode="nearest"),
        helper.make_node("Conv", ["up", weights("w3", 1, 16)], ["small"], **same),
        helper.make_node("Mul", ["small", constant("contrast", 4)], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], [CORE_OUTPUT]),
    ]
    nodes = list(model.graph.node)
    place = next(index for index, node in enumerate(nodes) if CORE_OUTPUT in node.output)
    del model.graph.node[:]
    model.graph.node.extend([*nodes[:place], *core, *nodes[place + 1 :]])
    path.write_bytes(model.SerializeToString())


class _Calibration(CalibrationDataReader):  # type: ignore[misc]  # it comes without annotations
    """A few random pictures in the model's input format."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        rng = np.random.default_rng(1)
        self._batches: Iterator[np.ndarray] = iter(rng.integers(0, 256, (8, 1, *shape), np.uint8))

    # None ends the data, whatever the base class annotates
    def get_next(self) -> dict[str, Any] | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        batch = next(self._batches, None)
        return None if batch is None else {INPUT_NAME: batch}


@pytest.fixture(scope="session")
def network_path(write_tiny_model: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A deployable ONNX of 48x32 with a small convolutional network inside; read-only."""
    path = write_tiny_model(tmp_path_factory.mktemp("network") / "network.onnx", name="network", width=48, height=32)
    _deepen(path)
    return path


@pytest.fixture(scope="session")
def write_pair(network_path: Path) -> PairWriter:
    """``write_pair(directory, f32_quality={}, int8_quality={}) -> path``: ``network.onnx`` and its int8 neighbour."""

    def write(directory: Path, f32_quality: Any = None, int8_quality: Any = None) -> Path:
        path = directory / "network.onnx"
        path.write_bytes(network_path.read_bytes())
        edit_spec(path, quality=f32_quality or {})
        neighbour = int8_neighbour(path)
        quantize_static(
            str(path), str(neighbour), _Calibration((32, 48, 3)), quant_format=QuantFormat.QDQ, per_channel=True,
            op_types_to_quantize=["Conv"],
        )  # fmt: skip
        edit_spec(neighbour, precision="int8", source_sha256=sha256_of(path), quality=int8_quality or {})
        return path

    return write
