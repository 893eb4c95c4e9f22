"""A model as something that runs: contract, resize and geometry, mask metrics, backends, building.

Knows nothing of video or Keras. Importing it imports nothing else: each public name is loaded when it is first used,
and `load_engine` imports a backend when it is asked for one.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .engine import CallableEngine, Engine, EngineInfo
    from .geometry import Box, Geometry
    from .load import PrecisionChoice, load_engine
    from .masks import Confusion, dice, iou, threshold_level
    from .resize import resize_image, resize_mask
    from .spec import ModelSpec

__all__ = [
    "Box",
    "CallableEngine",
    "Confusion",
    "Engine",
    "EngineInfo",
    "Geometry",
    "ModelSpec",
    "PrecisionChoice",
    "dice",
    "iou",
    "load_engine",
    "resize_image",
    "resize_mask",
    "threshold_level",
]

_HOMES = {
    "Box": "geometry",
    "CallableEngine": "engine",
    "Confusion": "masks",
    "Engine": "engine",
    "EngineInfo": "engine",
    "Geometry": "geometry",
    "ModelSpec": "spec",
    "PrecisionChoice": "load",
    "dice": "masks",
    "iou": "masks",
    "load_engine": "load",
    "resize_image": "resize",
    "resize_mask": "resize",
    "threshold_level": "masks",
}


def __getattr__(name: str) -> object:
    """Load a public name when it is first used, so that the command line answers at once (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'rt_seg.engines' has no attribute {name!r}")
    value: object = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
