"""What this machine's processor can do, read from the kernel: cores, and the number formats it computes natively."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_VNNI = frozenset({"avx512_vnni", "avx_vnni", "avx_vnni_int8", "amx_int8"})
_BF16 = frozenset({"avx512_bf16", "amx_bf16"})


@dataclass(frozen=True, slots=True)
class Cpu:
    """A processor as ``/proc/cpuinfo`` describes it.

    Attributes:
        name: Model name, for people.
        vendor: ``GenuineIntel``, ``AuthenticAMD``, or empty where the kernel does not say.
        flags: Instruction sets, in the kernel's spelling.
    """

    name: str
    vendor: str
    flags: frozenset[str]

    @classmethod
    def read(cls, cpuinfo: Path = Path("/proc/cpuinfo")) -> Self:
        """Read the first processor; without such a file nothing but plain f32 is taken for granted."""
        try:
            lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            lines = []
        pairs = [line.partition(":") for line in reversed(lines)]  # reversed: the first processor wins
        values = {key.strip(): value.strip() for key, _, value in pairs}
        return cls(
            values.get("model name", "CPU"),
            values.get("vendor_id", ""),
            frozenset(values.get("flags", "").split()),
        )

    @property
    def runs_int8(self) -> bool:
        """Whether 8-bit dot products are one instruction.

        Without one, x86 adds pairs of products in 16 bits, which saturates: the accuracy that was measured would
        not be the accuracy that runs.
        """
        return bool(self.flags & _VNNI)

    @property
    def runs_bf16(self) -> bool:
        """Whether bfloat16 is computed natively; emulated it is slower than f32 or fails to compile."""
        return bool(self.flags & _BF16)

    @property
    def gains_by_bf16(self) -> bool:
        """Whether bfloat16 is also faster than f32: AMX, or AMD's AVX-512.

        Intel's AVX-512 has half as many bf16 units as f32 units: measured 1.5 times slower than f32 on a Xeon
        that shows ``avx512_bf16`` without AMX.
        """
        return "amx_bf16" in self.flags or ("avx512_bf16" in self.flags and self.vendor == "AuthenticAMD")


def usable_cores(quota_file: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """Cores that this process may use: its affinity, capped by its container's CPU quota (cgroup v2)."""
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = quota_file.read_text(encoding="ascii").split()
        return max(1, min(cores, round(int(quota) / int(period))))
    except (OSError, ValueError):  # no cgroup v2, or "max": no quota
        return cores
