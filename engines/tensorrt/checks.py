"""Everything that is checked before an engine file reaches TensorRT: a foreign plan could crash the process there.

A plan begins with ``ftrt`` (TensorRT) or ``vtrt`` (TensorRT-RTX); its bytes 24 to 27 are the version that built it.
"""

import hashlib
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from rt_seg.engines.model_file import sha256_of
from rt_seg.engines.spec import INPUT_NAME, OUTPUT_NAME, ModelSpec
from rt_seg.errors import ModelError, RtSegError

from .driver import Gpu
from .manifest import EngineManifest, Flavour, TensorInfo, rebuild_command

PACKAGED_MODEL = Path(__file__).parent.parent / "models" / "polyp.onnx"
_MAGIC: dict[bytes, Flavour] = {b"ftrt": "tensorrt", b"vtrt": "tensorrt-rtx"}
_VERSION = slice(24, 28)


@dataclass(frozen=True, slots=True, eq=False)
class EngineFile:
    """An engine file that is whole, and what its manifest says about it.

    Attributes:
        path: Where it was read from.
        manifest: The manifest beside it.
        plan: The file's content.
    """

    path: Path
    manifest: EngineManifest
    plan: bytes


def read_engine_file(path: Path) -> EngineFile:
    """Read an engine and its manifest, and check one against the other.

    Raises:
        ModelError: Missing, unreadable, no engine, truncated, altered, or not what the manifest says.
    """
    plan = _read(path)
    flavour = _flavour_of(plan, path)
    manifest = EngineManifest.load(path)
    _check_plan(plan, flavour, manifest, path)
    _check_tensors(manifest, path)
    return EngineFile(path, manifest, plan)


def mend_command(path: Path, manifest: EngineManifest) -> str:
    """The command that builds this engine anew, for this machine and from the model that it came from."""
    model = manifest.options.get("model", "MODEL.onnx")
    parts = ["rt-seg", "build-engine", *([] if _is_packaged(manifest.onnx_sha256) else [str(model)]), "-o", str(path)]
    parts += ["--runtime", manifest.flavour, "--precision", manifest.precision]
    return shlex.join([*parts, "--batch", ",".join(map(str, manifest.batches))])


def check_version(file: EngineFile, version: str) -> None:
    """Check that the library that is installed is the very one that built the engine.

    Args:
        file: The engine.
        version: Of the installed library.

    Raises:
        ModelError: It is another one: plans are not portable between versions.
    """
    manifest = file.manifest
    if manifest.version != version:
        raise ModelError(
            f"{file.path}: was built by {manifest.flavour} {manifest.version}, and {version} is installed; "
            f"build it again: {mend_command(file.path, manifest)}"
        )


def choose_gpu(file: EngineFile, gpus: tuple[Gpu, ...]) -> Gpu:
    """The first GPU that an engine was built for.

    Raises:
        ModelError: It was built for another one.
    """
    fitting = [gpu for gpu in gpus if fits(file.manifest, gpu)]
    if fitting:
        return fitting[0]
    here = ", ".join(map(str, gpus)) or "no GPU"
    raise ModelError(
        f"{file.path}: was built for {_built_for(file.manifest)}, and this machine has {here}; "
        f"build one for it: {mend_command(file.path, file.manifest)}"
    )


def fits(manifest: EngineManifest, gpu: Gpu) -> bool:
    """Whether an engine was built for a GPU: for its model, or with TensorRT-RTX for its compute capability."""
    if manifest.targets:
        return gpu.target in manifest.targets
    return (manifest.device_name, manifest.compute_capability) == (gpu.name, gpu.compute_capability)


def check_engine(engine: Any, trt: Any, file: EngineFile) -> None:
    """Check a deserialised engine against the manifest.

    Args:
        engine: A ``trt.ICudaEngine``.
        trt: The module it is of.
        file: What it was deserialised from.

    Raises:
        ModelError: Other tensors or profiles than the manifest says.
    """
    manifest = file.manifest
    found = {_tensor(engine, engine.get_tensor_name(index), trt) for index in range(engine.num_io_tensors)}
    if found != set(manifest.tensors):
        _refuse(file.path, f"holds the tensors {_listed(found)}, its manifest says {_listed(manifest.tensors)}")
    if engine.num_optimization_profiles != len(manifest.batches):
        _refuse(file.path, f"holds {engine.num_optimization_profiles} profiles, its manifest says {manifest.batches}")
    for profile, batch in enumerate(manifest.batches):
        smallest, _, largest = (shape[0] for shape in engine.get_tensor_profile_shape(INPUT_NAME, profile))
        if not smallest <= batch <= largest:
            _refuse(file.path, f"holds a profile for batches {smallest} to {largest}, its manifest says {batch}")


def contract_tensors(spec: ModelSpec) -> tuple[TensorInfo, ...]:
    """The tensors that every engine of a model has: see `rt_seg.engines.spec`."""
    size = (-1, spec.height, spec.width)
    return (TensorInfo(INPUT_NAME, "uint8", (*size, 3), True), TensorInfo(OUTPUT_NAME, "uint8", size, False))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as exc:
        raise ModelError(f"{path}: there is no such engine; build it: {rebuild_command(path)}") from exc
    except OSError as exc:
        raise ModelError(f"{path}: cannot be read ({exc.strerror}); check the path and its permissions") from exc


def _flavour_of(plan: bytes, path: Path) -> Flavour:
    flavour = _MAGIC.get(plan[:4])
    if flavour is None or len(plan) < _VERSION.stop:
        what = "is empty" if not plan else f"is no TensorRT engine (it begins with {plan[:4]!r})"
        if flavour is not None:
            what = f"is truncated ({len(plan)} bytes)"
        _refuse(path, what)
    return flavour


def _check_plan(plan: bytes, flavour: Flavour, manifest: EngineManifest, path: Path) -> None:
    if hashlib.sha256(plan).hexdigest() != manifest.plan_sha256:
        _refuse(path, "is not the engine that its manifest was written for: truncated, altered or replaced", manifest)
    version = ".".join(map(str, plan[_VERSION]))
    if (flavour, version) != (manifest.flavour, manifest.version):
        expected = f"{manifest.flavour} {manifest.version}"
        _refuse(path, f"was built by {flavour} {version}, its manifest says {expected}", manifest)


def _check_tensors(manifest: EngineManifest, path: Path) -> None:
    expected = contract_tensors(manifest.spec)
    if set(manifest.tensors) != set(expected):
        found = _listed(manifest.tensors)
        _refuse(path, f"has the tensors {found}, the contract says {_listed(expected)}", manifest)


def _refuse(path: Path, what: str, manifest: EngineManifest | None = None) -> NoReturn:
    command = rebuild_command(path) if manifest is None else mend_command(path, manifest)
    raise ModelError(f"{path}: {what}; build it again: {command}")


def _tensor(engine: Any, name: str, trt: Any) -> TensorInfo:
    shape = tuple(int(size) for size in engine.get_tensor_shape(name))
    is_input = engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT
    return TensorInfo(name, trt.nptype(engine.get_tensor_dtype(name)).__name__, shape, is_input)


def _listed(tensors: Any) -> str:
    return ", ".join(sorted(f"{tensor.name} {tensor.dtype} {list(tensor.shape)}" for tensor in tensors)) or "none"


def _built_for(manifest: EngineManifest) -> str:
    if manifest.targets:
        return f"compute capability {', '.join(manifest.targets)}"
    return f"{manifest.device_name} (compute capability {manifest.compute_capability})"


def _is_packaged(onnx_sha256: str) -> bool:
    try:
        return sha256_of(PACKAGED_MODEL) == onnx_sha256
    except RtSegError:
        return False
