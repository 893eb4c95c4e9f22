"""Small deployable models around any float core, for the tests of building."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from rt_seg.engines.spec import CORE_INPUT, CORE_OUTPUT, INPUT_NAME, METADATA_KEY, OUTPUT_NAME, ModelSpec

Constants = Mapping[str, Any]


def node(kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> NodeProto:
    """A node that is named as its output."""
    return helper.make_node(kind, list(inputs), [output], name=output, **attributes)


def deployable(core: Sequence[NodeProto], constants: Constants, size: int = 32) -> ModelProto:
    """A model of the contract, its ends around nodes from ``core/input`` to ``core/probability``, ``[N, C, H, W]``."""
    spec = ModelSpec("small", size, size)
    ends = {"levels": np.float32(255), "zero": np.float32(0), "channel_axis": np.array([1])}
    nodes = [
        node("Cast", [INPUT_NAME], "frames_float", to=TensorProto.FLOAT),
        node("Transpose", ["frames_float"], CORE_INPUT, perm=[0, 3, 1, 2]),
        *core,
        node("Mul", [CORE_OUTPUT, "levels"], "scaled"),
        node("Round", ["scaled"], "rounded"),
        node("Clip", ["rounded", "zero", "levels"], "clipped"),
        node("Cast", ["clipped"], "as_uint8", to=TensorProto.UINT8),
        node("Squeeze", ["as_uint8", "channel_axis"], OUTPUT_NAME),
    ]
    shape: list[str | int | None] = ["N", size, size]
    weights = {name: np.asarray(value, None if name == "channel_axis" else np.float32) for name, value in
               {**ends, **constants}.items()}  # fmt: skip
    graph = helper.make_graph(
        nodes,
        spec.name,
        [helper.make_tensor_value_info(INPUT_NAME, TensorProto.UINT8, [*shape, 3])],
        [helper.make_tensor_value_info(OUTPUT_NAME, TensorProto.UINT8, shape)],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, {METADATA_KEY: spec.to_json()})
    # onnx annotates a bare PathLike
    onnx.checker.check_model(model, full_check=True)  # pyright: ignore[reportUnknownMemberType]
    return model


def convolutions(gains: Sequence[float]) -> tuple[list[NodeProto], dict[str, Any]]:
    """A core whose ``conv0``, ``conv1``, ... blur and multiply by a gain each, and a sigmoid that knows their product.

    Every second of them has a ReLU behind it. Bright parts are polyp, whatever the gains.
    """
    rng = np.random.default_rng(0)
    nodes = [node("Mul", [CORE_INPUT, "per_255"], "unit")]
    constants: dict[str, Any] = {"per_255": 1 / 255}
    last, channels = "unit", 3
    for number, gain in enumerate(gains):
        weights = rng.uniform(0.5, 1.5, (4, channels, 3, 3))
        constants[f"w{number}"] = gain * weights / weights.sum(axis=(1, 2, 3), keepdims=True)
        nodes.append(node("Conv", [last, f"w{number}"], f"conv{number}", pads=[1, 1, 1, 1]))
        last, channels = f"conv{number}", 4
        if number % 2:
            nodes.append(node("Relu", [last], f"relu{number}"))
            last = f"relu{number}"
    constants["contrast"] = (np.array([8, 4, 4, 4]) / np.prod(gains)).reshape(1, 4, 1, 1)
    constants["middle"] = [-8.0]
    return [
        *nodes,
        node("Conv", [last, "contrast", "middle"], "logits"),
        node("Sigmoid", ["logits"], CORE_OUTPUT),
    ], constants  # fmt: skip


def write(model: ModelProto, path: Path) -> Path:
    """Write a model; returns the path."""
    path.write_bytes(model.SerializeToString())
    return path
