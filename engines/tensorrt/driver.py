"""Asks the NVIDIA driver what it is and which GPUs it has: by ctypes alone, before pycuda or TensorRT is imported.

Without a driver TensorRT can crash the process where no ``except`` helps. ``cuInit`` makes no CUDA context.
Names and numbers are those of CUDA's driver API (``cuda.h``).
"""

import ctypes
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rt_seg.errors import EngineError

_LIBRARY = "libcuda.so.1"
_NAME_BYTES = 256
_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR
_MODULE = Path("/proc/driver/nvidia/version")

# what mends the errors of cuInit that a user meets
_REMEDIES = {
    100: "check that the GPU is there (lspci), and in a container that it was handed in (docker run --gpus all)",
    802: "wait until nvidia-fabricmanager runs",
    803: "restart the machine: the driver's library is newer or older than its kernel module",
    804: "update the NVIDIA driver: the CUDA compatibility package in use does not fit it",
    999: "restart the machine, or reload the kernel module nvidia_uvm",
}


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU as the driver describes it.

    Attributes:
        index: Its number for CUDA.
        name: Product name, such as ``NVIDIA RTX A4000``.
        compute_capability: Such as ``8.6``.
        memory_bytes: All of its memory.
    """

    index: int
    name: str
    compute_capability: str
    memory_bytes: int

    @property
    def target(self) -> str:
        """The compute capability as TensorRT-RTX spells it: ``SM86``."""
        return "SM" + self.compute_capability.replace(".", "")

    def __str__(self) -> str:
        return f"{self.name} (compute capability {self.compute_capability})"


@dataclass(frozen=True, slots=True)
class Driver:
    """The NVIDIA driver of this machine.

    Attributes:
        release: Version of the kernel module, such as ``580.95.05``; empty where the kernel does not say.
        cuda_version: The newest CUDA that it runs, such as ``(13, 0)``; None without a driver.
        gpus: What it shows.
        problem: Why there is no GPU, and what to do about it; empty if there is one.
    """

    release: str = ""
    cuda_version: tuple[int, int] | None = None
    gpus: tuple[Gpu, ...] = ()
    problem: str = ""

    def require_gpu(self) -> None:
        """Check that there is a GPU.

        Raises:
            EngineError: There is none.
        """
        if not self.gpus:
            raise EngineError(self.problem)


class _DriverError(Exception):
    """A call of the driver that did not succeed."""


def probe_driver(module: Path = _MODULE) -> Driver:
    """Ask the driver; what fails is described in `Driver.problem`, and nothing is raised.

    Args:
        module: Where the kernel module tells its version.
    """
    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError:
        return Driver(problem="there is no NVIDIA driver on this machine; install it, or run on the CPU (--engine cpu)")
    release = _release(module)
    try:
        version = _cuda_version(library)
    except (_DriverError, AttributeError) as exc:
        return Driver(release, problem=f"the NVIDIA driver does not tell its version ({exc}); install it again")
    try:
        return Driver(release, version, _gpus(library))
    except (_DriverError, AttributeError) as exc:
        return Driver(release, version, problem=str(exc))


def _release(module: Path) -> str:
    try:
        found = re.search(r"\d+\.\d+(\.\d+)?", module.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return ""
    return found[0] if found else ""


def _cuda_version(library: Any) -> tuple[int, int]:
    version = ctypes.c_int()
    _check(library, "cuDriverGetVersion", library.cuDriverGetVersion(ctypes.byref(version)))
    return version.value // 1000, version.value % 1000 // 10  # 12040 is 12.4


def _gpus(library: Any) -> tuple[Gpu, ...]:
    _check(library, "cuInit", library.cuInit(0))
    count = ctypes.c_int()
    _check(library, "cuDeviceGetCount", library.cuDeviceGetCount(ctypes.byref(count)))
    if count.value == 0:
        raise _DriverError("the NVIDIA driver shows no GPU; check CUDA_VISIBLE_DEVICES")
    return tuple(_gpu(library, index) for index in range(count.value))


def _gpu(library: Any, index: int) -> Gpu:
    device, name, memory = ctypes.c_int(), ctypes.create_string_buffer(_NAME_BYTES), ctypes.c_size_t()
    _check(library, "cuDeviceGet", library.cuDeviceGet(ctypes.byref(device), index))
    _check(library, "cuDeviceGetName", library.cuDeviceGetName(name, _NAME_BYTES, device))
    _check(library, "cuDeviceTotalMem", library.cuDeviceTotalMem_v2(ctypes.byref(memory), device))
    major, minor = (_attribute(library, attribute, device) for attribute in (_MAJOR, _MINOR))
    return Gpu(index, name.value.decode(errors="replace"), f"{major}.{minor}", memory.value)


def _attribute(library: Any, attribute: int, device: ctypes.c_int) -> int:
    value = ctypes.c_int()
    code = library.cuDeviceGetAttribute(ctypes.byref(value), attribute, device)
    _check(library, "cuDeviceGetAttribute", code)
    return value.value


def _check(library: Any, call: str, code: int) -> None:
    if code != 0:
        remedy = _REMEDIES.get(code, "nvidia-smi shows the state of the driver")
        raise _DriverError(f"the NVIDIA driver refuses: {call} returned {describe_error(library, code)}; {remedy}")


def describe_error(library: Any, code: int) -> str:
    """A CUresult in words, such as ``no CUDA-capable device is detected (100)``."""
    text = ctypes.c_char_p()
    library.cuGetErrorString(code, ctypes.byref(text))
    return f"{text.value.decode(errors='replace') if text.value else 'error'} ({code})"
