"""rt-seg: real-time polyp segmentation for colonoscopy video."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rt_seg.engines.load import load_engine
    from rt_seg.realtime.iterate import Stream, stream
    from rt_seg.realtime.result import FrameResult

    __version__: str

__all__ = ["FrameResult", "Stream", "__version__", "load_engine", "stream"]

_HOMES = {
    "FrameResult": "rt_seg.realtime.result",
    "Stream": "rt_seg.realtime.iterate",
    "load_engine": "rt_seg.engines.load",
    "stream": "rt_seg.realtime.iterate",
}


def __getattr__(name: str) -> object:
    """Load a public name when it is first used, so that ``import rt_seg`` costs nothing (PEP 562)."""
    value: object
    if name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
    elif name == "__version__":
        from importlib.metadata import version

        value = version("rt-seg")
    else:
        raise AttributeError(f"module 'rt_seg' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
