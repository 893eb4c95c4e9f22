"""Engine files for the tests of running: a plan that the pretended TensorRT takes, and its manifest."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from rt_seg.engines.model_file import read_model_file, sha256_of
from rt_seg.engines.spec import ModelSpec
from rt_seg.engines.tensorrt.checks import contract_tensors
from rt_seg.engines.tensorrt.manifest import EngineManifest

from .fakes import GPU_NAME

VERSION = "11.4.0.106"


def plan_of(version: str = VERSION, magic: bytes = b"ftrt", payload: bytes = b"weights" * 40) -> bytes:
    """A plan with the header that TensorRT writes: magic at 0, version at 24."""
    return magic + bytes(20) + bytes(map(int, version.split("."))) + payload


def manifest_of(plan: bytes, model: Path | None = None, **changes: Any) -> EngineManifest:
    """The manifest of a plan, built from a model on the GPU of `fakes.Machine`."""
    spec = ModelSpec("tiny", 64, 48) if model is None else read_model_file(model).spec
    manifest = EngineManifest(
        spec=spec,
        onnx_sha256="0" * 64 if model is None else sha256_of(model),
        plan_sha256=hashlib.sha256(plan).hexdigest(),
        flavour="tensorrt",
        version=VERSION,
        device_name=GPU_NAME,
        compute_capability="8.6",
        targets=(),
        precision="fp16",
        batches=(1, 4),
        tensors=contract_tensors(spec),
        gate={"mdice": 0.999},
        options={},
        built_at="2026-01-01T00:00:00+00:00",
        rt_seg_version="0.1.0",
    )
    return replace(manifest, **changes)


def write_engine(path: Path, model: Path | None = None, plan: bytes | None = None, **changes: Any) -> Path:
    """Write an engine and its manifest."""
    content = plan_of() if plan is None else plan
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    manifest_of(content, model, **changes).save(path)
    return path
