"""The machine that is measured: what it is, what is installed, and what else it is doing. Read from the kernel."""

import os
import platform
import resource
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Self

from rt_seg.engines.cpu import Cpu, usable_cores
from rt_seg.engines.tensorrt.driver import probe_driver

from .results import Background

BUSY = 0.05
"""Share of all cores taken by others from which it is said."""

_PACKAGES = (
    "rt-seg", "av", "hdrhistogram", "keras", "numpy", "onnx", "onnxruntime", "opencv-python", "openvino", "pycuda",
    "tensorflow", "tensorrt",
)  # fmt: skip
_FORMATS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_bf16", "amx_int8")


def describe_machine() -> dict[str, Any]:
    """Processor, memory, system and GPUs, as JSON values; nothing that names the machine or its user."""
    cpu = Cpu.read()
    return {
        "cpu": cpu.name,
        "usable_cores": usable_cores(),
        "cores": os.cpu_count(),
        "instruction_sets": [name for name in _FORMATS if name in cpu.flags],
        "frequency_governor": _first_line(Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")),
        "memory_mib": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20,
        "gpus": len(probe_driver().gpus),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def installed_versions() -> dict[str, str]:
    """Versions of the packages that figures depend on, of those that are installed."""
    found: dict[str, str] = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _first_line(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return None


def resident_mib() -> float | None:
    """Memory of this process that is resident, in MiB; None without /proc."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def peak_mib() -> float:
    """Most memory of this process that was resident at once since its program began, in MiB.

    The kernel's VmHWM where there is /proc: what `getrusage` says is never below what the parent process had when it
    started this one.
    """
    found = _mib_of("/proc/self/status", "VmHWM:")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 if found is None else found


def available_mib() -> float | None:
    """Memory that programs could still be given without swapping, in MiB; None without /proc."""
    return _mib_of("/proc/meminfo", "MemAvailable:")


def _mib_of(file: str, name: str) -> float | None:
    """A figure of one of the kernel's lists, which are in KiB; None where it is not."""
    try:
        lines = Path(file).read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(name)), None)


class LoadWatch:
    """Watches what others do on this machine from the moment it is made.

    /proc/stat counts the busy time of all cores; what this process and its ended children used is taken off.
    """

    def __init__(self) -> None:
        self._start = _Times.now()

    def read(self) -> Background:
        """What others did since."""
        start, now = self._start, _Times.now()
        if start is None or now is None or now.seconds <= start.seconds:
            return Background(None, None)
        available = (now.seconds - start.seconds) * now.cores
        others = (now.busy - start.busy) - (now.own - start.own)
        return Background(max(0.0, others / available), (now.stolen - start.stolen) / available)


class _Times:
    """Seconds on the clock, and processor seconds of all, of the host's other machines, and of this process."""

    def __init__(self, seconds: float, cores: int, busy: float, stolen: float, own: float) -> None:
        self.seconds, self.cores, self.busy, self.stolen, self.own = seconds, cores, busy, stolen, own

    @classmethod
    def now(cls) -> Self | None:
        try:
            lines = Path("/proc/stat").read_text(encoding="ascii").splitlines()
        except OSError:
            return None
        # user nice system idle iowait irq softirq steal ..., in ticks (proc_stat(5))
        ticks = [int(value) / os.sysconf("SC_CLK_TCK") for value in lines[0].split()[1:9]]
        cores = sum(line.startswith("cpu") for line in lines) - 1
        own = os.times()
        used = own.user + own.system + own.children_user + own.children_system
        return cls(time.monotonic(), cores, sum(ticks[:3]) + sum(ticks[5:7]), ticks[7], used)


def look_before(seconds: float = 0.5) -> tuple[str, ...]:
    """Watch the idle machine for a moment; say what would spoil figures, one line each."""
    watch = LoadWatch()
    time.sleep(seconds)
    notes = list(warn(watch.read(), "before the first part"))
    pressure = _waiting_share()
    if pressure is not None and pressure > 100 * BUSY:
        notes.append(f"programs waited for a free core in {pressure:.0f} % of the last 10 seconds before it began")
    return tuple(notes)


def warn(background: Background, when: str) -> tuple[str, ...]:
    """What of a background is worth saying."""
    notes: list[str] = []
    if background.others_share is not None and background.others_share > BUSY:
        notes.append(f"other programs took {100 * background.others_share:.0f} % of all cores {when}")
    if background.stolen_share is not None and background.stolen_share > BUSY:
        notes.append(f"the host gave {100 * background.stolen_share:.0f} % of the cores' time to others {when}")
    return tuple(notes)


def _waiting_share() -> float | None:
    """``some avg10`` of the kernel's pressure stall information for the processor, in percent."""
    line = _first_line(Path("/proc/pressure/cpu"))
    return None if line is None else float(line.split("avg10=")[1].split()[0])
