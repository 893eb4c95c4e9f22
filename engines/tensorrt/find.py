"""Finds the engine in the user's cache that fits this machine, for `load_engine`."""

from pathlib import Path

from rt_seg.engines.model_file import sha256_of
from rt_seg.errors import RtSegError

from .cache import cached_engines
from .checks import fits
from .driver import Driver
from .manifest import EngineManifest

_BUILD = "build one with: rt-seg build-engine"


def find_cached_engine(model: Path, driver: Driver) -> tuple[Path | None, str]:
    """Look for an engine of a model that was built for a GPU of this machine.

    Args:
        model: The ONNX file.
        driver: From `probe_driver`.

    Returns:
        The newest that fits, or None; and the reason, for people.
    """
    if not driver.gpus:
        return None, f"no NVIDIA GPU here ({driver.problem.partition(';')[0]})"
    gpu = driver.gpus[0]
    found = cached_engines(sha256_of(model))
    reasons = {path: _why_not(path, driver) for path in found}
    fitting = [path for path, why in reasons.items() if not why]
    if fitting:
        return fitting[0], f"{fitting[0].name}: built for this {gpu.name}"
    if not found:
        return None, f"there is {gpu.name}, but no engine for it yet; {_BUILD}"
    newest = found[0]
    return None, f"there is {gpu.name}, but {newest.name} {reasons[newest]}; {_BUILD}"


def _why_not(path: Path, driver: Driver) -> str:
    try:
        manifest = EngineManifest.load(path)
    except RtSegError as exc:
        return f"has no usable manifest ({str(exc).partition(';')[0]})"
    return "" if any(fits(manifest, gpu) for gpu in driver.gpus) else "was built for another GPU"
