"""rt-seg: real-time polyp segmentation for colonoscopy video."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rt_seg.engines.load import load_engine

    __version__: str

__all__ = ["__version__", "load_engine"]


def __getattr__(name: str) -> object:
    """Load a public name when it is first used, so that ``import rt_seg`` costs nothing (PEP 562)."""
    value: object
    if name == "load_engine":
        from rt_seg.engines.load import load_engine as value
    elif name == "__version__":
        from importlib.metadata import version

        value = version("rt-seg")
    else:
        raise AttributeError(f"module 'rt_seg' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
