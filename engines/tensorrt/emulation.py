"""Computes on a CPU what a GPU would in FP16.

The CPU runtimes (ONNX Runtime, OpenVINO) run an FP16 file in float32, so it proves nothing to run it there: a graph
that overflows FP16 gives the float32 answer. Here the FP16 graph is written in float32 instead, its weights already
rounded, with a Cast to FP16 and back after every operator; the result is infinite where FP16 would be.

What it does not show: a GPU may also add up the products of a convolution in FP16, in an order of its own.
"""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from rt_seg.engines.cpu import usable_cores
from rt_seg.engines.spec import INPUT_NAME
from rt_seg.errors import MissingDependencyError, ModelError

from .source import tensor_types

UInt8Array = npt.NDArray[np.uint8]
Tensors = Mapping[str, npt.NDArray[Any]]

FP16_MAX = 65504.0
"""Largest finite number of IEEE 754 binary16."""

_FLOAT, _HALF = TensorProto.FLOAT, TensorProto.FLOAT16


def emulate_fp16(model: ModelProto) -> ModelProto:
    """Write a model with FP16 tensors in float32 such that every one of them still holds FP16 values only.

    Args:
        model: What `to_fp16` gave; it is left as it is. Tensors keep their names.
    """
    types = tensor_types(model)
    nodes: list[NodeProto] = []
    for node in model.graph.node:
        fresh = NodeProto()
        fresh.CopyFrom(node)
        _widen_attributes(fresh)
        nodes.append(fresh)
        for place, name in enumerate(node.output):
            if types.get(name) == _HALF:
                fresh.output[place] = f"{name}/exact"
                nodes += _round(f"{name}/exact", name)
    emulation = ModelProto()
    emulation.CopyFrom(model)
    weights = [_widen(item) for item in model.graph.initializer]
    for field, items in (("node", nodes), ("initializer", weights)):
        emulation.graph.ClearField(field)
        getattr(emulation.graph, field).extend(items)
    emulation.graph.ClearField("value_info")
    return emulation


def _round(source: str, name: str) -> list[NodeProto]:
    half = f"{name}/half"
    return [
        helper.make_node("Cast", [source], [half], to=_HALF),
        helper.make_node("Cast", [half], [name], to=_FLOAT),
    ]


def _widen(weights: TensorProto) -> TensorProto:
    if weights.data_type != _HALF:
        return weights
    return numpy_helper.from_array(numpy_helper.to_array(weights).astype(np.float32), weights.name)


def _widen_attributes(node: NodeProto) -> None:
    for attribute in node.attribute:
        if node.op_type == "Cast" and attribute.name == "to" and attribute.i == _HALF:
            attribute.i = _FLOAT
        if attribute.type == AttributeProto.TENSOR:
            attribute.t.CopyFrom(_widen(attribute.t))


class TracedModel:
    """Runs an ONNX model in ONNX Runtime as it is written, and shows what is inside. Thread-safe.

    Nothing is optimised: a Cast there and back would go first.

    Args:
        model: Of the contract.
        names: Tensors to show besides the outputs.

    Raises:
        MissingDependencyError: ONNX Runtime is not installed.
        ModelError: It cannot run the model.
    """

    def __init__(self, model: ModelProto, names: Sequence[str]) -> None:
        try:
            runtime: Any = import_module("onnxruntime")
        except ImportError as exc:
            raise MissingDependencyError(
                "the accuracy gate runs in ONNX Runtime: pip install 'rt-seg[tensorrt]', or pip install onnxruntime"
            ) from exc
        options = runtime.SessionOptions()
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = usable_cores()
        options.log_severity_level = 3  # errors
        self._outputs = list(dict.fromkeys([*names, *(output.name for output in model.graph.output)]))
        try:
            data = _showing(model, self._outputs).SerializeToString()
            self._session = runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except Exception as exc:  # its errors share no base below Exception
            raise ModelError(f"ONNX Runtime cannot run the model for the gate ({_last_line(exc)})") from exc

    def run(self, frame: UInt8Array) -> Tensors:
        """All that is shown, by name.

        Args:
            frame: uint8 ``[height, width, 3]``, BGR, of the model's size.

        Raises:
            ModelError: ONNX Runtime failed.
        """
        try:
            values = self._session.run(self._outputs, {INPUT_NAME: frame[None]})
        except Exception as exc:  # its errors share no base below Exception
            raise ModelError(f"ONNX Runtime failed in the gate ({_last_line(exc)})") from exc
        return dict(zip(self._outputs, values, strict=True))


def _showing(model: ModelProto, names: Sequence[str]) -> ModelProto:
    shown = ModelProto()
    shown.CopyFrom(model)
    known = {output.name for output in model.graph.output}
    types = tensor_types(model)
    shown.graph.output.extend(
        helper.make_tensor_value_info(name, types[name], None) for name in names if name not in known
    )
    return shown


def _last_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[-1]
