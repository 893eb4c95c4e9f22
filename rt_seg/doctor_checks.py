"""What `rt-seg doctor` looks at: each check answers with findings and raises nothing.

Nothing is loaded here that could crash: TensorRT is imported in a process of its own, and only where there is a GPU.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal

from rt_seg.engines.cpu import Cpu, usable_cores
from rt_seg.engines.load import PACKAGED_MODEL
from rt_seg.engines.precision import choose_precision
from rt_seg.engines.tensorrt.cache import all_cached_engines
from rt_seg.engines.tensorrt.checks import check_version, choose_gpu, read_engine_file
from rt_seg.engines.tensorrt.driver import Driver
from rt_seg.engines.tensorrt.libraries import INSTALL, INSTALL_PYCUDA, MODULES, check_driver, installed_wheel
from rt_seg.engines.tensorrt.manifest import Flavour
from rt_seg.engines.tensorrt.self_test import Place, read_record
from rt_seg.errors import RtSegError

State = Literal["ok", "absent", "broken"]

_IMPORT_SECONDS = 60
_SPLIT = re.compile(r"[A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the answer.

    Attributes:
        part: What it is about, such as ``NVIDIA driver``.
        state: ``ok``; ``absent``: not there, and rt-seg works without; ``broken``: there, or needed, and does not work.
        text: What was found.
        remedy: The command, or what to do, that mends it; empty where nothing is to be mended.
        values: The same for machines.
    """

    part: str
    state: State
    text: str
    remedy: str = ""
    values: Mapping[str, object] = field(default_factory=dict[str, object])


def check_cpu() -> Iterator[Finding]:
    """Processor, and what the packaged model runs in on it."""
    cpu = Cpu.read()
    able = [name for name, native in (("int8", cpu.runs_int8), ("bf16", cpu.runs_bf16)) if native]
    formats = ", ".join(["f32", *able])
    cores = usable_cores()
    values = {"name": cpu.name, "usable_cores": cores, "native": ["f32", *able]}
    yield Finding("CPU", "ok", f"{cpu.name}, {cores} usable cores; natively {formats}", values=values)
    try:
        choice = choose_precision(PACKAGED_MODEL, "auto", cpu)
    except RtSegError as exc:
        yield Finding("packaged model", "broken", str(exc), "pip install --force-reinstall rt-seg")
        return
    spec = choice.model.spec
    text = f"{spec.name}, {spec.width}x{spec.height}; on this CPU {choice.reason}"
    yield Finding("packaged model", "ok", text, values={"name": spec.name, "precision": choice.precision})


def check_gpu(driver: Driver) -> Iterator[Finding]:
    """Driver and GPUs."""
    if driver.cuda_version is None:
        text, _, remedy = driver.problem.partition("; ")
        yield Finding("NVIDIA driver", "absent", text, remedy)
        return
    cuda = ".".join(map(str, driver.cuda_version))
    text = f"{driver.release or 'of unknown version'}, runs CUDA {cuda}"
    yield Finding("NVIDIA driver", "ok", text, values={"release": driver.release, "cuda": cuda})
    if not driver.gpus:
        text, _, remedy = driver.problem.partition("; ")
        yield Finding("GPU", "broken", text, remedy)
    for gpu in driver.gpus:
        size = gpu.memory_bytes / 2**30
        values = {"index": gpu.index, "name": gpu.name, "compute_capability": gpu.compute_capability}
        text = f"{gpu}, {size:.1f} GiB"
        yield Finding(f"GPU {gpu.index}", "ok", text, values={**values, "memory_bytes": gpu.memory_bytes})


def check_tensorrt(driver: Driver) -> Iterator[Finding]:
    """TensorRT, TensorRT-RTX and pycuda: installed, fit for the driver, and importable."""
    for flavour, module in MODULES.items():
        part = "TensorRT" if flavour == "tensorrt" else "TensorRT-RTX"
        found = version_of(flavour) or (installed_wheel(flavour) or ("", None, 0))[1]
        yield _library(part, module, found, driver, INSTALL[flavour], flavour)
    yield _library("pycuda", "pycuda.driver", version_of("pycuda"), driver, INSTALL_PYCUDA, None)


def _library(
    part: str, module: str, found: str | None, driver: Driver, remedy: str, flavour: Flavour | None
) -> Finding:
    if found is None:
        return Finding(part, "absent", "not installed", remedy)
    values = {"version": found}
    if not driver.gpus:  # pycuda cannot be imported without a driver, and TensorRT might crash
        return Finding(part, "ok", f"{found}, not loaded, as there is no GPU", values=values)
    try:
        if flavour is not None:
            check_driver(flavour, driver)
    except RtSegError as exc:
        text, _, remedy = str(exc).partition("; ")
        return Finding(part, "broken", text, remedy, values)
    problem = why_not_importable(module)
    if problem:
        return Finding(part, "broken", f"{found}, cannot be loaded: {problem}", remedy, values)
    return Finding(part, "ok", found, values=values)


def why_not_importable(module: str) -> str:
    """Import a module in a process of its own; the last line of its complaint, or nothing."""
    command = [sys.executable, "-c", f"import {module}"]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_IMPORT_SECONDS)
    except subprocess.TimeoutExpired:
        return f"the import has not ended after {_IMPORT_SECONDS} s"
    if ended.returncode == 0:
        return ""
    lines = ended.stderr.strip().splitlines()
    return lines[-1] if lines else f"it ended with {ended.returncode}"


def check_engines(driver: Driver) -> Iterator[Finding]:
    """Engines in the user's cache, and whether they would run here."""
    found = all_cached_engines()
    if not found:
        remedy = "rt-seg build-engine" if driver.gpus else ""
        yield Finding("engines", "absent", "none in the cache", remedy)
    for path in found:
        yield _engine(path, driver)


def _engine(path: Path, driver: Driver) -> Finding:
    values: dict[str, object] = {"path": str(path)}
    try:
        file = read_engine_file(path)
    except RtSegError as exc:
        return Finding("engine", "broken", *_split(exc), values)
    built = f"{file.manifest.precision} by {file.manifest.flavour} {file.manifest.version}"
    values |= {"precision": file.manifest.precision, "flavour": file.manifest.flavour}
    if not driver.gpus:
        return Finding("engine", "absent", f"{path.name}: {built}; there is no GPU to run it", values=values)
    try:
        gpu = choose_gpu(file, driver.gpus)
        check_version(file, version_of(file.manifest.flavour) or file.manifest.version)
    except RtSegError as exc:  # it may be meant for another machine that shares this cache
        return Finding("engine", "absent", *_split(exc), values)
    proof = read_record(path, Place.of(file, gpu, driver))
    state = f"proven here ({proof})" if proof else "is proven at its first start"
    return Finding("engine", "ok", f"{path.name}: {built}; {state}", values={**values, "proven": proof is not None})


def _split(error: RtSegError) -> tuple[str, str]:
    """What is wrong, and the command that mends it."""
    text, _, remedy = str(error).partition("; ")
    return text, remedy.partition(": ")[2] or remedy


def check_video() -> Iterator[Finding]:
    """PyAV, what it decodes, and the encoder of recordings."""
    try:
        import av
        from av.codec import Codec
    except ImportError as exc:
        yield Finding("video", "broken", f"PyAV cannot be loaded ({exc})", "pip install --force-reinstall av")
        return
    reads = [name for name in ("h264", "hevc", "mpeg2video", "mjpeg", "av1", "vp9") if _has(Codec, name, "r")]
    text = f"PyAV {av.__version__} reads {', '.join(reads)}"
    yield Finding("video", "ok", text, values={"pyav": av.__version__, "decoders": reads})
    if _has(Codec, "libx264", "w"):
        yield Finding("recording", "ok", "H.264 by libx264", values={"encoder": "libx264"})
    else:
        text = "PyAV's FFmpeg has no libx264: everything works but --output"
        yield Finding("recording", "absent", text, "pip install --force-reinstall --only-binary av av")


def _has(codec: object, name: str, mode: str) -> bool:
    try:
        return callable(codec) and codec(name, mode) is not None
    except ValueError:  # PyAV's error for an unknown codec is one
        return False


def check_display() -> Iterator[Finding]:
    """Whether a window can be shown."""
    try:
        from rt_seg.realtime.sinks.window import Window
    except ImportError as exc:
        remedy = "apt-get install libgl1 libglib2.0-0"
        yield Finding("display", "broken", f"OpenCV cannot be loaded ({exc})", remedy)
        return
    reason = Window.unavailable()
    if reason is None:
        yield Finding("display", "ok", "a window can be shown")
    else:
        yield Finding("display", "absent", reason, "run on a desktop, or write files: rt-seg stream VIDEO -o FILE.mp4")


def check_cameras(devices: Path = Path("/dev"), names: Path = Path("/sys/class/video4linux")) -> Iterator[Finding]:
    """Video devices, and whether this user may open them.

    Args:
        devices: Where the devices are.
        names: Where the kernel tells their names.
    """
    found = sorted(devices.glob("video*"), key=lambda path: (len(path.name), path.name))
    if not found:
        yield Finding("cameras", "absent", f"no {devices}/video*", "connect a camera or capture card")
    for path in found:
        name = _read(names / path.name / "name") or "unnamed"
        if os.access(path, os.R_OK | os.W_OK):
            yield Finding("camera", "ok", f"{path}: {name}", values={"path": str(path), "name": name})
        else:
            remedy = "usermod -aG video USER as root, then log in again"
            yield Finding("camera", "broken", f"{path}: {name}, which this user may not open", remedy)


def check_extras() -> Iterator[Finding]:
    """Optional parts of rt-seg that depend on further packages."""
    for extra, what in (("train", "rt-seg train, rt-seg export"), ("plots", "figures of rt-seg evaluate")):
        missing = [name for name in _needs(extra) if version_of(name) is None]
        if missing:
            text = f"{what}: {', '.join(missing)} not installed"
            yield Finding(f"extra {extra}", "absent", text, f"pip install 'rt-seg[{extra}]'")
        else:
            yield Finding(f"extra {extra}", "ok", what)


def _needs(extra: str) -> list[str]:
    """Packages that an extra names, by rt-seg's own metadata."""
    wanted = re.compile(rf"extra\s*==\s*['\"]{extra}['\"]")
    lines = [line for line in requires("rt-seg") or () if wanted.search(line)]
    return [found[0] for line in lines if (found := _SPLIT.match(line))]


def version_of(distribution: str) -> str | None:
    """Version of an installed distribution, or None."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def as_json(sections: Mapping[str, list[Finding]]) -> str:
    """All findings for machines."""
    rows = {
        title: [
            {"part": item.part, "state": item.state, "text": item.text, "remedy": item.remedy, **item.values}
            for item in findings
        ]
        for title, findings in sections.items()
    }
    return json.dumps(rows)
