"""From a float32 deployable ONNX to an int8 one: static quantisation with Q/DQ nodes, calibrated on real pictures.

Knows nothing of Keras: it reads and writes files of the contract.
"""

import importlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from rt_seg.engines.model_file import sha256_of
from rt_seg.engines.spec import CORE_OUTPUT, INPUT_NAME, METADATA_KEY
from rt_seg.errors import MissingDependencyError, ModelError

from .onnx_file import read_spec, save_onnx

UInt8Array = npt.NDArray[np.uint8]

MIN_CALIBRATION_FRAMES = 48
"""Fewer gave ranges that clip: measured on this project's networks."""


def quantise(source: Path, output: Path, frames: Sequence[UInt8Array]) -> None:
    """Write the int8 neighbour of a deployable file.

    Weights are quantised for each channel, activations by the extremes that the calibration pictures cause. What comes
    after the last convolution (stretching the logits, sigmoid, the contract's end) stays float32: it costs nothing, and
    its steps are finer than 1/255.

    Args:
        source: A float32 deployable file.
        output: The file to write; its spec says precision ``int8`` and names the SHA-256 of `source`.
        frames: Pictures like those that it was trained on, uint8 ``[height, width, 3]`` BGR of the model's size.

    Raises:
        ModelError: The source is not a float32 deployable file, or there are too few frames.
        MissingDependencyError: ONNX Runtime is not installed.
        OutputError: The file cannot be written.
    """
    try:
        quantization: Any = importlib.import_module("onnxruntime.quantization")  # Any: it is annotated in part
        preparation: Any = importlib.import_module("onnxruntime.quantization.shape_inference")
    except ImportError as exc:
        raise MissingDependencyError("int8 models are made by ONNX Runtime: pip install 'rt-seg[train]'") from exc

    spec = read_spec(source)
    if spec.precision != "f32":
        raise ModelError(f"{source}: is quantised already; give the f32 file that rt-seg export wrote")
    if len(frames) < MIN_CALIBRATION_FRAMES:
        raise ModelError(
            f"{len(frames)} pictures are too few to calibrate int8, give at least {MIN_CALIBRATION_FRAMES}"
        )
    with tempfile.TemporaryDirectory() as folder:
        prepared, raw = Path(folder) / "prepared.onnx", Path(folder) / "int8.onnx"
        preparation.quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        quantization.quantize_static(
            str(prepared),
            str(raw),
            _Frames(frames),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            weight_type=quantization.QuantType.QInt8,
            activation_type=quantization.QuantType.QUInt8,
            calibrate_method=quantization.CalibrationMethod.MinMax,
            nodes_to_exclude=_float_tail(onnx.load(prepared)),
        )
        spec = replace(spec, precision="int8", source_sha256=sha256_of(source), quality={})
        quantised = onnx.load(raw)
        onnx.helper.set_model_props(quantised, {METADATA_KEY: spec.to_json()})
        save_onnx(quantised, output)


def _float_tail(model: onnx.ModelProto) -> list[str]:
    """Names of the nodes after the last convolution."""
    nodes = list(model.graph.node)
    last = max(number for number, node in enumerate(nodes) if node.op_type == "Conv")
    names = {node.name for node in nodes[last + 1 :]}
    if not any(CORE_OUTPUT in node.output for node in nodes[last:]):
        raise ModelError(f"the model has no tensor {CORE_OUTPUT} after its last convolution")
    return sorted(names)


class _Frames:
    """Feeds calibration pictures one by one, as ONNX Runtime's CalibrationDataReader does."""

    def __init__(self, frames: Sequence[UInt8Array]) -> None:
        self._frames: Iterator[UInt8Array] = iter(frames)

    def get_next(self) -> dict[str, Any] | None:
        """The next batch of one by the input's name, None at the end."""
        frame = next(self._frames, None)
        return None if frame is None else {INPUT_NAME: frame[None]}
