"""Imports what runs an engine: TensorRT or TensorRT-RTX, and pycuda. Only after `probe_driver` has seen a GPU."""

import threading
from collections import deque
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from rt_seg.errors import EngineError, MissingDependencyError

from .driver import Driver
from .manifest import Flavour

MODULES: dict[Flavour, str] = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}
INSTALL: dict[Flavour, str] = {
    "tensorrt": "pip install 'rt-seg[tensorrt]'",
    "tensorrt-rtx": "pip install tensorrt-rtx pycuda",
}
INSTALL_PYCUDA = "pip install pycuda (it is compiled, so CUDA's toolkit with cuda.h and nvcc has to be there)"

_CUDA_MAJORS = range(11, 16)  # of the wheels' names: tensorrt-cu12, tensorrt-rtx-cu13, ...
_KEPT_LINES = 8


@dataclass(frozen=True, slots=True, eq=False)
class Libraries:
    """What runs an engine.

    Attributes:
        flavour: Which TensorRT it is.
        trt: The module ``tensorrt`` or ``tensorrt_rtx``.
        cuda: The module ``pycuda.driver``.
        log: Where TensorRT's complaints go.
    """

    flavour: Flavour
    trt: Any
    cuda: Any
    log: "TensorRtLog"


class TensorRtLog:
    """The last errors that TensorRT has logged. Thread-safe.

    TensorRT keeps the first logger that it was given for the life of the process: there is one a library, for ever.

    Attributes:
        logger: A ``trt.ILogger``.
    """

    def __init__(self, trt: Any) -> None:
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._lock = threading.Lock()
        self.logger: Any = _make_logger(trt, self._add)

    def take(self) -> str:
        """What was logged since the last call, in one line; empty if nothing was."""
        with self._lock:
            text = " / ".join(self._lines)
            self._lines.clear()
        return " ".join(text.split())

    def _add(self, line: str) -> None:
        with self._lock:
            self._lines.append(line)


def load_libraries(flavour: Flavour, driver: Driver) -> Libraries:
    """Import the library that an engine was built for, and pycuda.

    Args:
        flavour: Which TensorRT.
        driver: From `probe_driver`; without a GPU nothing is imported.

    Raises:
        EngineError: No GPU, or a driver too old for the TensorRT that is installed.
        MissingDependencyError: One of them is not installed, or cannot be loaded.
    """
    driver.require_gpu()
    check_driver(flavour, driver)
    trt = import_library(MODULES[flavour], INSTALL[flavour])
    cuda = import_library("pycuda.driver", INSTALL_PYCUDA)
    return Libraries(flavour, trt, cuda, log_of(trt))


def installed_wheel(flavour: Flavour) -> tuple[str, str, int] | None:
    """The wheel that brings a TensorRT: its name, its version and the CUDA major version it is made for.

    None if there is none, or TensorRT comes from elsewhere, as on a Jetson.
    """
    for major in reversed(_CUDA_MAJORS):
        name = f"{flavour}-cu{major}"
        try:
            return name, version(name), major
        except PackageNotFoundError:
            continue
    return None


def check_driver(flavour: Flavour, driver: Driver) -> None:
    """Check that the driver runs the CUDA that the installed TensorRT is made for.

    Raises:
        EngineError: It is too old.
    """
    wheel = installed_wheel(flavour)
    if wheel is None or driver.cuda_version is None or driver.cuda_version[0] >= wheel[2]:
        return
    name, number, major = wheel
    found = ".".join(map(str, driver.cuda_version))
    raise EngineError(
        f"the NVIDIA driver {driver.release} is too old: it runs CUDA {found}, and {name} {number} needs {major}.0 or "
        f"newer; update the driver, or install the build for its CUDA: pip install {flavour}-cu{driver.cuda_version[0]}"
    )


def import_library(module: str, remedy: str) -> Any:
    """Import a module that is not there on every machine.

    Args:
        module: Its name.
        remedy: The command that installs it, for the message.

    Raises:
        MissingDependencyError: It is not installed, or cannot be loaded.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as exc:
        if exc.name is not None and module.startswith(exc.name):
            raise MissingDependencyError(f"{exc.name} is not installed; {remedy}") from exc
        raise MissingDependencyError(f"{module} cannot be loaded ({exc}); {remedy}") from exc
    except (ImportError, OSError) as exc:
        raise MissingDependencyError(
            f"{module} cannot be loaded ({_one_line(exc)}); install it again: {remedy}"
        ) from exc


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


@cache
def log_of(trt: Any) -> TensorRtLog:
    """The one log of a TensorRT module, for building and running alike."""
    return TensorRtLog(trt)


def _make_logger(trt: Any, add: Any) -> Any:
    """An ``ILogger`` that hands errors on and drops the rest; its base class is known only now."""
    severity = trt.ILogger.Severity
    kept = (severity.INTERNAL_ERROR, severity.ERROR)

    class Logger(trt.ILogger):  # type: ignore[misc]  # the module is chosen at run time
        def __init__(self) -> None:
            trt.ILogger.__init__(self)  # TensorRT asks for this call by name, not through super()

        def log(self, severity: Any, message: str) -> None:
            if severity in kept:
                add(message)

    return Logger()
