"""`load_engine`: from a name or a file to an engine that runs, without importing a backend before it is asked for."""

import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import cast

from rt_seg.errors import ModelError

from .engine import Engine
from .gpu import count_gpus
from .precision import PrecisionChoice

__all__ = ["PACKAGED_MODEL", "PrecisionChoice", "load_engine"]

PACKAGED_MODEL = Path(__file__).parent / "models" / "polyp.onnx"

# suffix of the file -> "module:function" of its backend
_BACKENDS = {".onnx": "rt_seg.engines.openvino:load_openvino_engine"}


def load_engine(
    path_or_uri: str | os.PathLike[str] | None = None,
    *,
    precision: PrecisionChoice = "auto",
    threads: int | None = None,
    parallel_calls: int | None = None,
) -> Engine:
    """Load a model as an engine; use it as a context manager or close it.

    Args:
        path_or_uri: A deployable ``.onnx`` file; ``None`` or ``"auto"``: the best for this machine, which
            ``info.notes`` names with the reason; ``"cpu"``: the packaged model on the CPU.
        precision: On the CPU: ``auto`` is the fastest that passed its accuracy gate and that this CPU computes
            natively, see `rt_seg.engines.precision.choose_precision`.
        threads: CPU threads of one inference; by default what suits a video pipeline.
        parallel_calls: Calls of `Engine.infer` that can run at once; by default what suits a video pipeline.

    Raises:
        ModelError: The file is missing, foreign or broken, or holds nothing for what was asked.
        EngineError: This machine cannot run what was asked for.
    """
    name = "auto" if path_or_uri is None else os.fspath(path_or_uri)
    if name in ("auto", "cpu"):
        path, notes = PACKAGED_MODEL, _why_cpu(name)
    else:
        path, notes = Path(name), ()
    load = _backend_of(path)
    return load(path, precision=precision, threads=threads, parallel_calls=parallel_calls, notes=notes)


def _why_cpu(name: str) -> tuple[str, ...]:
    if name == "cpu":
        return ("the packaged model on the CPU, as asked for",)
    if count_gpus() == 0:
        return ("the packaged model on the CPU: no NVIDIA GPU here",)
    return ("the packaged model on the CPU: there is an NVIDIA GPU, but this version has no TensorRT backend yet",)


def _backend_of(path: Path) -> Callable[..., Engine]:
    suffix = path.suffix.lower()
    if suffix == ".engine":
        raise ModelError(f"{path}: TensorRT engines are not supported by this version yet; give the .onnx model")
    if suffix not in _BACKENDS:
        raise ModelError(f"{path}: is not a model that rt-seg runs; give a deployable .onnx file, auto or cpu")
    module, _, function = _BACKENDS[suffix].partition(":")
    return cast("Callable[..., Engine]", getattr(import_module(module), function))
