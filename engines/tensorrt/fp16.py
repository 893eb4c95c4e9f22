"""Writes a float32 model in FP16: TensorRT's networks are strongly typed, so the precision is in the graph.

Not done by onnxconverter-common's ``convert_float_to_float16``, although that is tried and known: its version 1.16
casts the scales of a Resize, which makes the model invalid (its default is to leave every Resize in float32); a value
between nodes kept in float32 it rounds to FP16 if more than one of them reads it, so that what overflows still does;
and it writes weights above 1e4 as 1e4. The tests compare the two where they should agree.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from .emulation import FP16_MAX, emulate_fp16
from .gate import GateReport
from .source import check_valid, float_outputs, tensor_types

_A_ROUND = 3  # layers that are taken up in one round

_FLOAT, _HALF = TensorProto.FLOAT, TensorProto.FLOAT16
_NAMES: Mapping[int, str] = {_FLOAT: "fp32", _HALF: "fp16"}
_ONNX_NAMES: Mapping[int, str] = {_FLOAT: "tensor(float)", _HALF: "tensor(float16)"}


def to_fp16(model: ModelProto, keep: Collection[str] = ()) -> ModelProto:
    """Convert a deployable model between its uint8 ends.

    The Cast at its begin becomes one to FP16, every float32 tensor after it an FP16 tensor, every weight is rounded
    (those beyond 65504 become infinite: the gate finds them). What ONNX defines in float32 only, such as the scales of
    a Resize, stays so.

    Args:
        model: Float32; it is left as it is.
        keep: Names of output tensors: the nodes that compute them stay in float32. Between two such nodes nothing is
            rounded.

    Raises:
        ModelError: It holds something that does not exist in FP16.
    """
    return _Converter(model, frozenset(keep)).convert()


class _Converter:
    """One conversion; the nodes of the new model are made in the order of the old one."""

    def __init__(self, model: ModelProto, keep: Collection[str]) -> None:
        self._model = model
        self._types: Mapping[str, int] = tensor_types(model)
        self._weights = {weights.name: weights for weights in model.graph.initializer}
        self._opset = next((entry.version for entry in model.opset_import if entry.domain == ""), 1)
        self._keep = frozenset(keep)
        self._now: dict[str, int] = {}  # the new type of what is float32 in the old model
        self._casts: dict[tuple[str, int], str] = {}
        self._nodes: list[NodeProto] = []
        self._constants: dict[str, TensorProto] = {}

    def convert(self) -> ModelProto:
        for node in self._model.graph.node:
            self._convert_node(node)
        used = {name for node in self._nodes for name in node.input}
        kept = [weights for name, weights in self._weights.items() if name in used]
        converted = ModelProto()
        converted.CopyFrom(self._model)
        graph = converted.graph
        for field, items in (("node", self._nodes), ("initializer", [*kept, *self._constants.values()])):
            graph.ClearField(field)
            getattr(graph, field).extend(items)
        graph.ClearField("value_info")
        check_valid(converted, "the FP16 form of the model")
        return converted

    def _convert_node(self, node: NodeProto) -> None:
        schema = onnx.defs.get_schema(node.op_type, max_inclusive_version=self._opset, domain=node.domain)
        kept = not self._keep.isdisjoint(node.output) or not _allows_fp16(schema.outputs, len(node.output))
        fresh = NodeProto()
        fresh.CopyFrom(node)
        for position, name in enumerate(node.input):
            if self._types.get(name) == _FLOAT:
                wanted = _FLOAT if kept or not _allows(schema.inputs, position, _HALF) else _HALF
                fresh.input[position] = self._as_type(name, wanted)
        if not kept:
            _convert_attributes(fresh)
        self._nodes.append(fresh)
        for name in node.output:
            if self._types.get(name) == _FLOAT:
                self._now[name] = _FLOAT if kept else _HALF

    def _as_type(self, name: str, wanted: int) -> str:
        """Name of a tensor that holds the same in this type."""
        if name in self._weights:
            return name if wanted == _FLOAT else self._half_weights(name)
        if self._now.get(name, _FLOAT) == wanted:
            return name
        return self._casts.get((name, wanted)) or self._cast(name, wanted)

    def _cast(self, name: str, wanted: int) -> str:
        fresh = f"{name}/{_NAMES[wanted]}"
        self._nodes.append(helper.make_node("Cast", [name], [fresh], name=fresh, to=wanted))
        self._casts[name, wanted] = fresh
        return fresh

    def _half_weights(self, name: str) -> str:
        fresh = f"{name}/fp16"
        if fresh not in self._constants:
            self._constants[fresh] = _rounded(self._weights[name], fresh)
        return fresh


def _rounded(weights: TensorProto, name: str) -> TensorProto:
    with np.errstate(over="ignore"):  # to infinity, which the gate finds
        values = numpy_helper.to_array(weights).astype(np.float16)
    return numpy_helper.from_array(values, name)


def _convert_attributes(node: NodeProto) -> None:
    """Types and constants that a node names itself."""
    for attribute in node.attribute:
        if node.op_type == "Cast" and attribute.name == "to" and attribute.i == _FLOAT:
            attribute.i = _HALF
        if attribute.type == onnx.AttributeProto.TENSOR and attribute.t.data_type == _FLOAT:
            attribute.t.CopyFrom(_rounded(attribute.t, attribute.t.name))


def _allows_fp16(parameters: Collection[onnx.defs.OpSchema.FormalParameter], count: int) -> bool:
    return all(
        _allows(parameters, position, _HALF) for position in range(count) if _allows(parameters, position, _FLOAT)
    )


def _allows(parameters: Collection[onnx.defs.OpSchema.FormalParameter], position: int, kind: int) -> bool:
    """Whether ONNX lets an input or output have a type; the last one may stand for many."""
    parameter = list(parameters)[min(position, len(parameters) - 1)]
    return _ONNX_NAMES[kind] in parameter.types


class Fp16Conversion:
    """How `convert_within_gate` makes an FP16 model: `to_fp16`, and its emulation for the gate."""

    name = "fp16"

    def __init__(self, model: ModelProto) -> None:
        self._model = model
        self._producers = float_outputs(model)
        self._readers: dict[str, list[str]] = defaultdict(list)
        for name, number in self._producers.items():
            for source in model.graph.node[number].input:
                self._readers[source].append(name)
        self.layers = tuple(self._producers)

    def make(self, keep: Collection[str]) -> tuple[ModelProto, ModelProto]:
        """The FP16 model, and its emulation in float32."""
        model = to_fp16(self._model, keep)
        return model, emulate_fp16(model)

    def demand(self, gate: GateReport) -> Sequence[str]:
        """All that FP16 cannot hold and whoever reads it; if there is no such thing, what loses most and its sources.

        A value that is read in FP16 has been rounded, so that a node alone in float32 gains little.
        """
        beyond = [layer.name for layer in gate.layers if layer.largest > FP16_MAX]
        lost = [] if beyond and gate.infinite else [layer.name for layer in gate.worst(_A_ROUND)]
        near = [other for name in beyond for other in self._readers[name]]
        near += [other for name in lost for other in self._sources(name)]
        return list(dict.fromkeys((*beyond, *lost, *near)))

    def _sources(self, name: str) -> Iterable[str]:
        node = self._model.graph.node[self._producers[name]]
        return (source for source in node.input if source in self._producers)
