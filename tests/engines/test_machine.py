"""What the processor can do, read from files of other machines."""

import os
from pathlib import Path

import pytest

from rt_seg.engines.cpu import Cpu, usable_cores

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
