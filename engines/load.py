"""`load_engine`: from a name or a file to an engine that runs, without importing a backend before it is asked for."""

import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import cast

from rt_seg.errors import ModelError, RtSegError

from .engine import Engine
from .precision import PrecisionChoice
from .tensorrt.driver import probe_driver
from .tensorrt.find import find_cached_engine

__all__ = ["PACKAGED_MODEL", "PrecisionChoice", "load_engine"]

PACKAGED_MODEL = Path(__file__).parent / "models" / "polyp.onnx"

# suffix of the file -> "module:function" of its backend
_BACKENDS = {
    ".onnx": "rt_seg.engines.openvino:load_openvino_engine",
    ".engine": "rt_seg.engines.tensorrt.engine:load_tensorrt_engine",
}


def load_engine(
    path_or_uri: str | os.PathLike[str] | None = None,
    *,
    precision: PrecisionChoice = "auto",
    threads: int | None = None,
    parallel_calls: int | None = None,
) -> Engine:
    """Load a model as an engine; use it as a context manager or close it.

    Args:
        path_or_uri: A deployable ``.onnx`` file, which runs on the CPU, or a built ``.engine``, which runs on an NVIDIA
            GPU; ``None`` or ``"auto"``: the best for this machine, which ``info.notes`` names with the reason;
            ``"cpu"``: the packaged model on the CPU.
        precision: On the CPU: ``auto`` is the fastest that passed its accuracy gate and that this CPU computes
            natively, see `rt_seg.engines.precision.choose_precision`. An engine's was chosen when it was built.
        threads: CPU threads of one inference; by default what suits a video pipeline.
        parallel_calls: Calls of `Engine.infer` that can run at once; by default what suits a video pipeline.

    Raises:
        ModelError: The file is missing, foreign or broken, or holds nothing for what was asked.
        EngineError: This machine cannot run what was asked for.
        MissingDependencyError: What runs an ``.engine`` is not installed.
    """
    name = "auto" if path_or_uri is None else os.fspath(path_or_uri)
    if name == "auto":
        return _load_best(precision, threads, parallel_calls)
    path, notes = Path(name), tuple[str, ...]()
    if name == "cpu":
        path, notes = PACKAGED_MODEL, ("the packaged model on the CPU, as asked for",)
    return _backend_of(path)(path, precision=precision, threads=threads, parallel_calls=parallel_calls, notes=notes)


def _load_best(precision: PrecisionChoice, threads: int | None, parallel_calls: int | None) -> Engine:
    """The packaged model on a GPU if there is a GPU and an engine for it that loads, else on the CPU."""
    reason = "the precision or the threads of the CPU were asked for"
    if precision == "auto" and threads is None:
        path, reason = find_cached_engine(PACKAGED_MODEL, probe_driver())
        if path is not None:
            try:
                return _backend_of(path)(path, parallel_calls=parallel_calls, notes=(reason,))
            except RtSegError as exc:
                reason = f"the engine for this GPU does not run: {exc}"
    notes = (f"the packaged model on the CPU: {reason}",)
    load = _backend_of(PACKAGED_MODEL)
    return load(PACKAGED_MODEL, precision=precision, threads=threads, parallel_calls=parallel_calls, notes=notes)


def _backend_of(path: Path) -> Callable[..., Engine]:
    suffix = path.suffix.lower()
    if suffix not in _BACKENDS:
        raise ModelError(
            f"{path}: is not a model that rt-seg runs; give a deployable .onnx file, a built .engine, auto or cpu"
        )
    module, _, function = _BACKENDS[suffix].partition(":")
    return cast("Callable[..., Engine]", getattr(import_module(module), function))
