"""Writes a float32 model with explicit int8 quantisation (Q/DQ nodes) as TensorRT takes it.

TensorRT's quantisation is symmetric: int8 with zero point 0, one scale for what is computed and one a channel for
weights. ONNX Runtime's, made for CPUs, is not (uint8 with a zero point, and the ReLU left to the border of uint8), so
the Q/DQ nodes are set here: before every convolution and at its weights. All else stays float32. The ranges come from
the model's int8 neighbour, which was calibrated on training data, or from pictures.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from rt_seg.engines.model_file import int8_neighbour
from rt_seg.errors import ModelError

from .emulation import TracedModel, UInt8Array
from .gate import GateReport
from .source import SourceModel, check_valid, read_source

MIN_CALIBRATION_FRAMES = 48
"""Fewer gave ranges that clip: measured on this project's networks."""

_STEPS = 127
_A_ROUND = 4  # convolutions that return to float32 in one round
_OUTPUT_AXIS = {"Conv": 0, "ConvTranspose": 1}  # of the weights


def neighbour_ranges(source: SourceModel) -> Mapping[str, float] | None:
    """The largest magnitude of each tensor by the calibration of the int8 file beside a model; None without one.

    Raises:
        ModelError: That file is broken, or was quantised from another one.
    """
    path = int8_neighbour(source.path)
    if not path.exists():
        return None
    neighbour = read_source(path)
    if neighbour.spec.precision != "int8" or neighbour.spec.source_sha256 != source.sha256:
        raise ModelError(
            f"{path}: was not quantised from {source.path.name} as it is now; export both again, or move it away and "
            "give --gate-data to calibrate anew"
        )
    graph = neighbour.model.graph
    values = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    nodes = [node for node in graph.node if node.op_type == "QuantizeLinear"]
    return {node.input[0]: _largest(*(values[name] for name in node.input[1:])) for node in nodes}


def _largest(scale: npt.NDArray[Any], zero: npt.NDArray[Any]) -> float:
    """The largest magnitude that a quantised tensor can stand for."""
    ends = np.iinfo(zero.dtype)
    return float(max(int(zero) - ends.min, ends.max - int(zero)) * scale.item())


def measure_ranges(model: ModelProto, frames: Iterable[UInt8Array]) -> Mapping[str, float]:
    """The largest magnitude of what each convolution reads, over pictures.

    Args:
        model: Float32.
        frames: uint8 ``[height, width, 3]``, BGR, of the model's size.

    Raises:
        MissingDependencyError: ONNX Runtime is not installed.
        ModelError: It cannot run the model.
    """
    names = list(dict.fromkeys(node.input[0] for node in _convolutions(model)))
    traced = TracedModel(model, names)
    ranges = dict.fromkeys(names, 0.0)
    for frame in frames:
        tensors = traced.run(frame)
        ranges = {name: max(largest, float(np.abs(tensors[name]).max())) for name, largest in ranges.items()}
    return ranges


def to_int8(model: ModelProto, ranges: Mapping[str, float], keep: Collection[str] = ()) -> ModelProto:
    """Quantise the convolutions whose input has a known range.

    Args:
        model: Float32; it is left as it is, and its tensors keep their names.
        ranges: Largest magnitude by tensor.
        keep: Names of the output tensors of convolutions that stay in float32.

    Raises:
        ModelError: The result would not be valid ONNX.
    """
    writer = _Writer(model, ranges, frozenset(keep))
    return writer.write()


def quantisable(model: ModelProto, ranges: Mapping[str, float]) -> tuple[str, ...]:
    """Names of the output tensors of all convolutions that `to_int8` quantises."""
    weights = {item.name for item in model.graph.initializer}
    nodes = (node for node in _convolutions(model) if node.input[0] in ranges and node.input[1] in weights)
    return tuple(node.output[0] for node in nodes)


def _convolutions(model: ModelProto) -> list[NodeProto]:
    """All but grouped transposed ones, whose channels lie along two axes of the weights."""
    nodes = [node for node in model.graph.node if node.op_type in _OUTPUT_AXIS]
    return [node for node in nodes if node.op_type == "Conv" or _attribute(node, "group", 1) == 1]


def _attribute(node: NodeProto, name: str, default: int) -> int:
    return next((item.i for item in node.attribute if item.name == name), default)


class _Writer:
    def __init__(self, model: ModelProto, ranges: Mapping[str, float], keep: Collection[str]) -> None:
        self._model = model
        self._ranges = ranges
        self._wanted = set(quantisable(model, ranges)) - set(keep)
        self._weights = {item.name: item for item in model.graph.initializer}
        self._fresh: dict[str, TensorProto] = {}
        self._done: dict[str, str] = {}
        self._nodes: list[NodeProto] = []

    def write(self) -> ModelProto:
        for node in self._model.graph.node:
            fresh = NodeProto()
            fresh.CopyFrom(node)
            if node.output[0] in self._wanted:
                fresh.input[0] = self._quantised(node.input[0])
                fresh.input[1] = self._quantised_weights(node.input[1], _OUTPUT_AXIS[node.op_type])
            self._nodes.append(fresh)
        used = {name for node in self._nodes for name in node.input}
        kept = [item for name, item in {**self._weights, **self._fresh}.items() if name in used]
        quantised = ModelProto()
        quantised.CopyFrom(self._model)
        for field, items in (("node", self._nodes), ("initializer", kept)):
            quantised.graph.ClearField(field)
            getattr(quantised.graph, field).extend(items)
        quantised.graph.ClearField("value_info")
        check_valid(quantised, "the int8 form of the model")
        return quantised

    def _quantised(self, name: str) -> str:
        """A tensor on its way through int8."""
        if name not in self._done:
            scale = self._constant(f"{name}/scale", np.float32((self._ranges[name] or 1.0) / _STEPS))
            how = [scale, self._constant("zero/int8", np.int8(0))]
            self._nodes.append(helper.make_node("QuantizeLinear", [name, *how], [f"{name}/int8"], name=f"{name}/int8"))
            self._done[name] = self._dequantise(f"{name}/int8", how, name)
        return self._done[name]

    def _quantised_weights(self, name: str, axis: int) -> str:
        if name not in self._done:
            values = numpy_helper.to_array(self._weights[name])
            others = tuple(place for place in range(values.ndim) if place != axis)
            largest = np.abs(values).max(axis=others, keepdims=True)
            scale = np.where(largest > 0, largest, 1).astype(np.float32) / _STEPS
            rounded = self._constant(f"{name}/int8", np.rint(values / scale).astype(np.int8))
            how = [
                self._constant(f"{name}/scale", scale.ravel()),
                self._constant(f"{name}/zero", np.zeros(scale.size, np.int8)),
            ]
            self._done[name] = self._dequantise(rounded, how, name, axis=axis)
        return self._done[name]

    def _dequantise(self, quantised: str, how: list[str], name: str, axis: int | None = None) -> str:
        fresh = f"{name}/from_int8"
        self._nodes.append(
            helper.make_node("DequantizeLinear", [quantised, *how], [fresh], name=fresh, axis=axis)
        )  # fmt: skip
        return fresh

    def _constant(self, name: str, value: npt.ArrayLike) -> str:
        self._fresh[name] = numpy_helper.from_array(np.asarray(value), name)
        return name


class Int8Conversion:
    """How `convert_within_gate` makes an int8 model; see `to_int8` for the arguments."""

    name = "int8"

    def __init__(self, model: ModelProto, ranges: Mapping[str, float]) -> None:
        self._model = model
        self._ranges = ranges
        self.layers = quantisable(model, ranges)

    def make(self, keep: Collection[str]) -> tuple[ModelProto, ModelProto]:
        """The model to build, which is also what the gate runs: a CPU computes Q/DQ as it is written."""
        model = to_int8(self._model, self._ranges, keep)
        return model, model

    def demand(self, gate: GateReport) -> Sequence[str]:
        """The convolutions that lose most."""
        return [layer.name for layer in gate.worst(len(gate.layers)) if layer.name in self.layers][:_A_ROUND]
