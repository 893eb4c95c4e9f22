"""Engines of others around the same model, behind rt-seg's `Engine`, so that one loop measures them all."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from rt_seg.engines.engine import CallableEngine, Engine
from rt_seg.engines.load import PrecisionChoice, load_engine
from rt_seg.engines.spec import INPUT_NAME, METADATA_KEY, OUTPUT_NAME, ModelSpec
from rt_seg.errors import EngineError, MissingDependencyError, ModelError

UInt8Array = npt.NDArray[np.uint8]


def load_side(kind: str, precision: str, model: str, *, threads: int, calls: int) -> Engine:
    """Load an engine to measure.

    Args:
        kind: ``OpenVINO``, ``ONNX Runtime``, ``Keras predict``, ``TensorFlow function``, ``TensorRT``, or ``given``
            for whatever `load_engine` makes of the file.
        precision: Number format.
        model: The file: ONNX by the contract, of Keras the ``.keras`` file.
        threads: Threads of one call; TensorFlow takes it once in a process.
        calls: Calls at once.

    Raises:
        ModelError: The file is missing, foreign or broken.
        EngineError: This machine does not run it.
        MissingDependencyError: The library is not installed.
    """
    if kind == "OpenVINO":
        chosen = cast("PrecisionChoice", precision)
        return load_engine(model, precision=chosen, threads=threads, parallel_calls=calls)
    if kind == "ONNX Runtime":
        return _load_onnxruntime(model, precision, threads, calls)
    if kind in ("Keras predict", "TensorFlow function"):
        return _load_keras(model, threads, calls, compiled=kind == "TensorFlow function")
    if kind == "TensorRT":
        return _load_tensorrt()
    return load_engine(model)


def _load_onnxruntime(model: str, precision: str, threads: int, calls: int) -> Engine:
    try:
        import onnxruntime as ort
    except ImportError as exc:
        raise MissingDependencyError("ONNX Runtime is not installed: pip install onnxruntime") from exc
    runtime = cast("Any", ort)  # not annotated
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # its warnings concern operators that it leaves as they are
    try:
        session = runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY, "")
    except Exception as exc:  # ONNX Runtime's errors share no base below Exception
        raise ModelError(f"{model}: ONNX Runtime cannot load it ({str(exc).splitlines()[0]})") from exc
    spec = ModelSpec.from_json(text, model)
    if spec.precision != precision:
        raise ModelError(f"{precision}: there is no {precision} file of {Path(model).name}")

    def run(frames: UInt8Array) -> UInt8Array:
        return cast("UInt8Array", session.run([OUTPUT_NAME], {INPUT_NAME: frames})[0])

    return CallableEngine(run, spec, parallel_calls=calls)


def _load_keras(model: str, threads: int, calls: int, *, compiled: bool) -> Engine:
    try:
        import tensorflow as tf
    except ImportError as exc:
        raise MissingDependencyError("TensorFlow is not installed: pip install 'rt-seg[train]'") from exc
    tensorflow = cast("Any", tf)  # annotated in part only
    tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
    tensorflow.config.threading.set_inter_op_parallelism_threads(1)
    from rt_seg.train.keras_file import load_keras_model

    network = load_keras_model(Path(model))
    _, height, width, _ = network.input_shape
    spec = ModelSpec(name=Path(model).stem, width=int(width), height=int(height))
    call = tensorflow.function(network)

    def run(frames: UInt8Array) -> UInt8Array:
        as_float = frames.astype(np.float32)
        probability = call(tensorflow.constant(as_float)).numpy() if compiled else network.predict(as_float, verbose=0)
        levels: UInt8Array = np.rint(255 * np.asarray(probability)[..., 0]).astype(np.uint8)
        return levels

    return CallableEngine(run, spec, parallel_calls=calls)


def _load_tensorrt() -> Engine:
    engine = load_engine("auto")
    if engine.info.backend != "tensorrt":
        engine.close()
        raise EngineError("there is no engine built for this GPU; make one with rt-seg build-engine")
    return engine
