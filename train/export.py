"""From a trained Keras model to a deployable ONNX file, checked against Keras on real pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from rt_seg.engines.load import load_engine
from rt_seg.engines.resize import resize_image
from rt_seg.engines.samples import load_samples
from rt_seg.engines.spec import CORE_INPUT, CORE_OUTPUT, INPUT_NAME, METADATA_KEY, OUTPUT_NAME, ModelSpec
from rt_seg.errors import ModelError

from .onnx_file import save_onnx
from .onnx_graph import OnnxGraph

UInt8Array = npt.NDArray[np.uint8]

OPSET = 18
IR_VERSION = 10
"""What ONNX Runtime, OpenVINO and TensorRT of the last years read; `onnx` itself writes a newer one by default."""

MAX_DIFFERENCE = 2
"""Levels of 255 by which the exported file may differ from Keras anywhere."""


def build_onnx(model: Any, spec: ModelSpec) -> onnx.ModelProto:
    """Write a Keras model by the contract: uint8 BGR in, uint8 probability out, a float core between.

    Args:
        model: From ``[N, H, W, 3]``, BGR, 0 to 255, to ``[N, H, W, 1]``, 0 to 1.
        spec: What the file says about itself; of the model's size.

    Raises:
        ModelError: The model does not have that form, or holds a layer the writer does not know.
    """
    if model.input_shape != (None, spec.height, spec.width, 3) or model.output_shape != (
        None,
        spec.height,
        spec.width,
        1,
    ):
        raise ModelError(
            f"a model from {model.input_shape} to {model.output_shape} is no segmentation of {spec.width}x{spec.height}"
        )
    graph = OnnxGraph()
    as_float = graph.add("Cast", [INPUT_NAME], "frames_float", to=TensorProto.FLOAT)
    graph.add("Transpose", [as_float], CORE_INPUT, perm=[0, 3, 1, 2])
    probability = graph.add_model(model, CORE_INPUT)
    graph.nodes[-1].output[0] = CORE_OUTPUT
    if probability not in graph.nodes[-1].name:
        raise ModelError("the last layer of the model is not its output")
    high = graph.constant("levels", 255.0)
    levels = graph.add("Mul", [CORE_OUTPUT, high], "probability_scaled")
    rounded = graph.add("Round", [levels], "probability_rounded")
    clipped = graph.add("Clip", [rounded, graph.constant("zero", 0.0), high], "probability_clipped")
    as_uint8 = graph.add("Cast", [clipped], "probability_uint8", to=TensorProto.UINT8)
    graph.add("Squeeze", [as_uint8, graph.constant("channel_axis", [1], np.int64)], OUTPUT_NAME)
    return _as_model(graph, spec)


def _as_model(graph: OnnxGraph, spec: ModelSpec) -> onnx.ModelProto:
    shape: list[str | int | None] = ["N", spec.height, spec.width]
    proto = helper.make_graph(
        graph.nodes,
        spec.name,
        [helper.make_tensor_value_info(INPUT_NAME, TensorProto.UINT8, [*shape, 3])],
        [helper.make_tensor_value_info(OUTPUT_NAME, TensorProto.UINT8, shape)],
        graph.constants,
    )
    model = helper.make_model(
        proto, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="rt-seg"
    )
    helper.set_model_props(model, {METADATA_KEY: spec.to_json()})
    # onnx annotates a bare PathLike
    onnx.checker.check_model(model, full_check=True)  # pyright: ignore[reportUnknownMemberType]
    return model


def export_onnx(model: Any, spec: ModelSpec, output: Path, pictures: Sequence[UInt8Array]) -> int:
    """Write a deployable ONNX file that was compared with Keras.

    Args:
        model: As for `build_onnx`.
        spec: As for `build_onnx`.
        output: The file to write; an earlier one is replaced only by one that passed.
        pictures: Real pictures, uint8 ``[H, W, 3]`` BGR, any size; those of `load_samples` are compared too.

    Returns:
        The largest difference from Keras of any pixel, in levels of 255.

    Raises:
        ModelError: The model cannot be written, or differs from Keras by more than `MAX_DIFFERENCE` levels.
        OutputError: The file cannot be written.
    """
    fresh = output.with_name(f"new-{output.name}")
    save_onnx(build_onnx(model, spec), fresh)
    try:
        difference = largest_difference(model, fresh, [*pictures, *(sample.image for sample in load_samples())])
        if difference > MAX_DIFFERENCE:
            raise ModelError(
                f"{output}: not written, it differs from Keras by {difference}/255, more than {MAX_DIFFERENCE}"
            )
        fresh.replace(output)
    finally:
        fresh.unlink(missing_ok=True)
    return difference


def largest_difference(model: Any, path: Path, pictures: Sequence[UInt8Array]) -> int:
    """Compare a deployable file, run in f32 by the CPU engine, with Keras.

    Args:
        model: The Keras model that it was made from.
        path: The deployable file.
        pictures: uint8 ``[H, W, 3]`` BGR, any size.

    Returns:
        The largest difference of any pixel, in levels of 255.
    """
    with load_engine(path, precision="f32") as engine:
        spec = engine.spec
        difference = 0
        for picture in pictures:
            frames = resize_image(picture, spec.width, spec.height, spec.interpolation)[None]
            expected = np.rint(model.predict(frames.astype(np.float32), verbose=0)[..., 0] * 255)
            difference = max(difference, int(np.abs(expected - engine.infer(frames)).max()))
    return difference
