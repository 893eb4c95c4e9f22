"""A model as something that runs: contract, resize and geometry, mask metrics, backends.

Knows nothing of video or Keras. Importing it imports no backend: `load_engine` does, when it is asked for one.
"""

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
