"""Chooses what builds an engine, TensorRT or TensorRT-RTX, and what it is built for."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from rt_seg.errors import EngineError, InputError, MissingDependencyError

from .cache import gpu_target
from .driver import Driver, Gpu
from .libraries import INSTALL, MODULES, TensorRtLog, check_driver, import_library, log_of
from .manifest import Flavour

NAMES: dict[Flavour, str] = {"tensorrt": "TensorRT", "tensorrt-rtx": "TensorRT-RTX"}
INSTALL_BUILDER: dict[Flavour, str] = {**INSTALL, "tensorrt-rtx": "pip install 'rt-seg[tensorrt-rtx]'"}

_NO_TARGETS = frozenset({"NONE", "CURRENT"})
_ASKED_FOR_ONLY = frozenset({"SM75"})  # Turing: 60 MB more in every engine


@dataclass(frozen=True, slots=True, eq=False)
class BuildLibrary:
    """What builds an engine.

    Attributes:
        flavour: Which of the two.
        version: Its version, such as ``11.4.0.106``.
        trt: The module.
        log: Where its complaints go.
        gpu: The GPU that it builds on; None without one.
    """

    flavour: Flavour
    version: str
    trt: Any
    log: TensorRtLog
    gpu: Gpu | None

    @property
    def title(self) -> str:
        """Name and version, for people."""
        return f"{NAMES[self.flavour]} {self.version}"


def load_build_library(wanted: Flavour | None, driver: Driver) -> BuildLibrary:
    """Import what builds an engine.

    Args:
        wanted: Which; None: TensorRT where it and a GPU are there, else TensorRT-RTX.
        driver: From `probe_driver`: TensorRT without a driver can crash the process where no ``except`` helps.

    Raises:
        MissingDependencyError: It is not installed, or cannot be loaded.
        EngineError: TensorRT without a GPU, or with a driver too old for it.
    """
    flavour = wanted or _choose(driver)
    if flavour == "tensorrt":
        _check_machine(driver)
    trt = import_library(MODULES[flavour], INSTALL_BUILDER[flavour])
    gpu = driver.gpus[0] if driver.gpus else None  # CUDA's own choice, as long as nobody makes another
    return BuildLibrary(flavour, str(trt.__version__), trt, log_of(trt), gpu)


def _choose(driver: Driver) -> Flavour:
    here = [flavour for flavour, module in MODULES.items() if find_spec(module) is not None]
    if "tensorrt" in here and driver.gpus:
        return "tensorrt"
    if "tensorrt-rtx" in here:
        return "tensorrt-rtx"
    if "tensorrt" in here:
        _check_machine(driver)
    raise MissingDependencyError(
        f"neither TensorRT nor TensorRT-RTX is installed; on a machine with the GPU: {INSTALL_BUILDER['tensorrt']}; to "
        f"build ahead of time on any machine: {INSTALL_BUILDER['tensorrt-rtx']}"
    )


def _check_machine(driver: Driver) -> None:
    if not driver.gpus:
        raise EngineError(
            f"TensorRT builds on the GPU that the engine is for ({driver.problem.partition(';')[0]}); build it there, "
            "or here with --runtime tensorrt-rtx --gpu SM86 (or what the GPU is)"
        )
    check_driver("tensorrt", driver)


def choose_targets(library: BuildLibrary, wanted: Sequence[str]) -> tuple[str, ...]:
    """What TensorRT-RTX builds for; nothing for TensorRT, which builds for the GPU it runs on.

    Args:
        library: From `load_build_library`.
        wanted: Compute capabilities such as ``SM86``, ``sm86`` or ``8.6``; none: that of this machine's GPU, and
            without one every one from Ampere on.

    Raises:
        InputError: One that the library does not know, or any for TensorRT.
    """
    if library.flavour == "tensorrt":
        if wanted:
            raise InputError(f"--gpu is for --runtime tensorrt-rtx; TensorRT builds for the GPU here, {library.gpu}")
        return ()
    known = [name for name in library.trt.ComputeCapability.__members__ if name not in _NO_TARGETS]
    if not wanted and library.gpu is None:
        return tuple(name for name in known if name not in _ASKED_FOR_ONLY)
    asked = wanted or [library.gpu.target if library.gpu else ""]
    targets = list(dict.fromkeys("SM" + name.upper().removeprefix("SM").replace(".", "") for name in asked))
    unknown = [name for name in targets if name not in known]
    if unknown:
        raise InputError(f"{library.title} does not build for {', '.join(unknown)}; it knows {', '.join(known)}")
    return tuple(name for name in known if name in targets)


def cache_target(library: BuildLibrary, targets: Sequence[str]) -> str:
    """What the engine is for, as part of its name in the user's cache."""
    if library.flavour == "tensorrt-rtx" or library.gpu is None:
        return "+".join(targets)
    return gpu_target(library.gpu.name, library.gpu.compute_capability)
