"""Reads the model that an engine is built from, and brings it into the form that TensorRT parses."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import ModelProto, TensorProto

from rt_seg.engines.model_file import read_model_file, sha256_of
from rt_seg.engines.spec import ModelSpec
from rt_seg.errors import ModelError

_MOVES_ONLY = frozenset({"Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})


@dataclass(frozen=True, slots=True, eq=False)
class SourceModel:
    """A deployable model, ready to be converted.

    Attributes:
        path: Where it was read from.
        spec: What it says about itself.
        sha256: Of the file, hexadecimal.
        model: The network; its last node is the Cast to uint8, see `cast_last`.
    """

    path: Path
    spec: ModelSpec
    sha256: str
    model: ModelProto


def read_source(path: Path) -> SourceModel:
    """Read and check a deployable ONNX.

    Raises:
        ModelError: As for `read_model_file`.
    """
    spec = read_model_file(path).spec
    model = onnx.load(path)
    cast_last(model)
    return SourceModel(path, spec, sha256_of(path), model)


def cast_last(model: ModelProto) -> None:
    """Move the Cast to uint8 behind the nodes that follow it, in place.

    TensorRT knows uint8 only at its borders: after the Cast not even a Squeeze may follow. Nodes that only move values
    give the same before it.
    """
    nodes = list(model.graph.node)
    place = max((i for i, node in enumerate(nodes) if node.op_type == "Cast"), default=len(nodes))
    tail = nodes[place + 1 :]
    if not tail or any(node.op_type not in _MOVES_ONLY or node.input[0] != nodes[i].output[0] for i, node in
                       enumerate(tail, place)):  # fmt: skip
        return
    cast, output = nodes[place], tail[-1].output[0]
    tail[0].input[0] = cast.input[0]
    tail[-1].output[0] = cast.input[0] = f"{output}/float"
    cast.output[0] = output
    del model.graph.node[:]
    model.graph.node.extend([*nodes[:place], *tail, cast])
    del model.graph.value_info[:]


def tensor_types(model: ModelProto) -> Mapping[str, int]:
    """The element type (`TensorProto.DataType`) of every tensor, weights included.

    Raises:
        ModelError: The types do not fit each other.
    """
    try:
        graph = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    except Exception as exc:  # onnx's errors share no base below Exception
        raise ModelError(f"the model's types or shapes do not fit each other ({' '.join(str(exc).split())})") from exc
    infos = (*graph.input, *graph.value_info, *graph.output)
    types = {info.name: info.type.tensor_type.elem_type for info in infos}
    return types | {weights.name: weights.data_type for weights in graph.initializer}


def check_valid(model: ModelProto, what: str) -> None:
    """Check a model that was written here.

    Raises:
        ModelError: It is not valid ONNX.
    """
    try:
        # onnx annotates a bare PathLike
        onnx.checker.check_model(model, full_check=True)  # pyright: ignore[reportUnknownMemberType]
    except Exception as exc:  # onnx's errors share no base below Exception
        reason = " ".join(str(exc).split())
        raise ModelError(f"{what} is not valid ONNX ({reason}); build it with --precision fp32") from exc


def float_outputs(model: ModelProto) -> dict[str, int]:
    """The layers: each tensor that a node computes in floating point, with the number of that node."""
    types = tensor_types(model)
    kinds = (TensorProto.FLOAT, TensorProto.FLOAT16)
    return {
        name: number
        for number, node in enumerate(model.graph.node)
        for name in node.output
        if types.get(name) in kinds
    }  # fmt: skip
