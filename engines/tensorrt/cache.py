"""Where built engines are kept for `load_engine` to find: one folder a model in the user's cache."""

from pathlib import Path

import platformdirs

from .manifest import BuildPrecision, Flavour

_SUFFIX = ".engine"
_FORBIDDEN = str.maketrans(dict.fromkeys(' /\\:*?"<>|', "_"))


def gpu_target(device_name: str, compute_capability: str) -> str:
    """What an engine of TensorRT is bound to, as part of its name in the cache: GPU and compute capability."""
    return f"{device_name} sm{compute_capability.replace('.', '')}"


def cached_engine_path(onnx_sha256: str, target: str, precision: BuildPrecision, flavour: Flavour) -> Path:
    """Where the engine of a model is kept.

    Args:
        onnx_sha256: SHA-256 of the model's file, hexadecimal.
        target: What it is built for: `gpu_target`, or for TensorRT-RTX its targets joined by ``+``.
        precision: Number format of the arithmetic.
        flavour: The library.
    """
    return _folder(onnx_sha256) / f"{flavour}-{target.translate(_FORBIDDEN)}-{precision}{_SUFFIX}"


def cached_engines(onnx_sha256: str) -> tuple[Path, ...]:
    """Every engine of a model that is kept, the newest first; their manifests say what each is for."""
    return _newest_first(_folder(onnx_sha256), "")


def all_cached_engines() -> tuple[Path, ...]:
    """Every engine of every model that is kept, the newest first."""
    return _newest_first(_root(), "*/")


def _newest_first(folder: Path, below: str) -> tuple[Path, ...]:
    try:
        found = [(path.stat().st_mtime_ns, path) for path in folder.glob(f"{below}[!.]*{_SUFFIX}")]
    except OSError:  # another process clears the cache meanwhile
        return ()
    return tuple(path for _, path in sorted(found, reverse=True))


def _folder(onnx_sha256: str) -> Path:
    return _root() / onnx_sha256[:16]


def _root() -> Path:
    return platformdirs.user_cache_path("rt-seg", appauthor=False) / "engines"
