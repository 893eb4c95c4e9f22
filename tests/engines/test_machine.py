"""What the processor and the GPU driver say, read from files and stand-ins of other machines."""

import ctypes
import os
from pathlib import Path

import pytest

from rt_seg.engines.cpu import Cpu, usable_cores
from rt_seg.engines.gpu import count_gpus

CPUINFO = """processor\t: 0
vendor_id\t: {vendor}
model name\t: Some Processor @ 2.0GHz: fast
flags\t\t: fpu sse2 {flags}

processor\t: 1
vendor_id\t: {vendor}
model name\t: Another Processor
flags\t\t: fpu
"""


@pytest.mark.parametrize(
    ("vendor", "flags", "int8", "bf16", "gains"),
    [
        ("GenuineIntel", "avx2", False, False, False),
        ("GenuineIntel", "avx2 avx_vnni", True, False, False),
        ("GenuineIntel", "avx512f avx512_vnni avx512_bf16", True, True, False),
        ("GenuineIntel", "avx512_vnni avx512_bf16 amx_bf16 amx_int8", True, True, True),
        ("AuthenticAMD", "avx512_vnni avx512_bf16", True, True, True),
        ("AuthenticAMD", "avx2", False, False, False),
    ],
)
def test_reads_cpuinfo(tmp_path: Path, vendor: str, flags: str, int8: bool, bf16: bool, gains: bool) -> None:
    """Name, vendor and number formats come from the first processor of the list."""
    path = tmp_path / "cpuinfo"
    path.write_text(CPUINFO.format(vendor=vendor, flags=flags))
    cpu = Cpu.read(path)
    assert (cpu.name, cpu.vendor) == ("Some Processor @ 2.0GHz: fast", vendor)
    assert (cpu.runs_int8, cpu.runs_bf16, cpu.gains_by_bf16) == (int8, bf16, gains)


def test_without_cpuinfo_nothing_is_taken_for_granted(tmp_path: Path) -> None:
    """A machine that does not describe itself runs f32."""
    cpu = Cpu.read(tmp_path / "absent")
    assert cpu.name
    assert not any((cpu.runs_int8, cpu.runs_bf16, cpu.gains_by_bf16))


@pytest.mark.parametrize(
    ("content", "expected"), [("100000 100000", 1), ("50000 100000", 1), ("max 100000", None), ("nonsense", None)]
)
def test_a_container_quota_caps_the_cores(tmp_path: Path, content: str, expected: int | None) -> None:
    """The quota of a container counts, not the cores of its host; without a quota the affinity does."""
    path = tmp_path / "cpu.max"
    path.write_text(content)
    assert usable_cores(path) == (expected or len(os.sched_getaffinity(0)))


def test_a_quota_never_adds_cores(tmp_path: Path) -> None:
    """A quota above the affinity changes nothing; nor does its absence."""
    path = tmp_path / "cpu.max"
    path.write_text("100000000 100000")
    assert usable_cores(path) == len(os.sched_getaffinity(0)) == usable_cores(tmp_path / "absent")


class _Driver:
    """Stands in for libcuda: answers the two calls."""

    def __init__(self, gpus: int, init: int = 0, count: int = 0) -> None:
        self._gpus, self._init, self._count = gpus, init, count

    def cuInit(self, flags: int) -> int:  # noqa: N802  # the driver's name
        assert flags == 0
        return self._init

    def cuDeviceGetCount(self, count: object) -> int:  # noqa: N802  # the driver's name
        ctypes.cast(count, ctypes.POINTER(ctypes.c_int))[0] = self._gpus  # type: ignore[arg-type]  # a byref
        return self._count


@pytest.mark.parametrize(
    ("driver", "expected"), [(_Driver(2), 2), (_Driver(0), 0), (_Driver(2, init=100), 0), (_Driver(2, count=3), 0)]
)
def test_counts_what_the_driver_shows(driver: _Driver, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """GPUs are counted by the driver; a driver that fails counts as none."""

    def load(name: str) -> _Driver:
        assert name == "libcuda.so.1"
        return driver

    monkeypatch.setattr(ctypes, "CDLL", load)
    assert count_gpus() == expected


def test_without_a_driver_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without the library has no GPU, and nothing crashes."""

    def absent(name: str) -> object:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", absent)
    assert count_gpus() == 0
