"""What the NVIDIA driver says, and what is said in its place where it fails."""

from pathlib import Path

import pytest

from rt_seg.engines.tensorrt.driver import Gpu, probe_driver
from rt_seg.errors import EngineError

from .fakes import GPU_NAME, Machine, no_library


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine with a GPU."""
    machine = Machine()
    machine.install(monkeypatch)
    return machine


def test_tells_driver_and_gpus(machine: Machine, tmp_path: Path) -> None:
    """Version, name, compute capability and memory are the driver's; no CUDA context is made to learn them."""
    module = tmp_path / "version"
    module.write_text(
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build\nGCC version: 12.2"
    )
    machine.library.gpus = [(GPU_NAME, 8, 6), ("NVIDIA GeForce RTX 5090", 12, 0)]
    machine.library.version = 12040
    driver = probe_driver(module)
    assert (driver.release, driver.cuda_version, driver.problem) == ("580.95.05", (12, 4), "")
    assert driver.gpus == (
        Gpu(0, GPU_NAME, "8.6", 16 * 2**30),
        Gpu(1, "NVIDIA GeForce RTX 5090", "12.0", 16 * 2**30 + 1),
    )
    assert [gpu.target for gpu in driver.gpus] == ["SM86", "SM120"]
    driver.require_gpu()
    assert not any("Ctx" in name or "Context" in name for name in machine.names())


def test_cuda_is_initialised_before_anything_is_asked_of_gpus(machine: Machine, tmp_path: Path) -> None:
    """Without cuInit every question about GPUs is an error."""
    assert probe_driver(tmp_path / "absent").gpus
    calls = machine.names()
    assert calls.index("cuInit") < calls.index("cuDeviceGetCount")


def test_without_a_driver_there_is_no_gpu() -> None:
    """A machine without the library says so in one line, and nothing crashes."""
    with no_library():
        driver = probe_driver()
    assert (driver.gpus, driver.cuda_version) == ((), None)
    with pytest.raises(EngineError, match="there is no NVIDIA driver on this machine; install it"):
        driver.require_gpu()


@pytest.mark.parametrize(
    ("call", "code", "says"),
    [
        ("cuInit", 100, r"cuInit returned no CUDA-capable device is detected \(100\); check that the GPU is there"),
        ("cuInit", 803, r"cuInit returned error \(803\); restart the machine: the driver's library is newer or older"),
        ("cuInit", 999, "restart the machine, or reload the kernel module nvidia_uvm"),
        ("cuDeviceGetCount", 3, r"cuDeviceGetCount returned error \(3\); nvidia-smi shows"),
        ("cuDeviceGetName", 101, "cuDeviceGetName returned"),
        ("cuDeviceGetAttribute", 101, "cuDeviceGetAttribute returned"),
        ("cuDriverGetVersion", 3, "does not tell its version"),
    ],
)
def test_a_driver_that_fails_counts_as_none(machine: Machine, call: str, code: int, says: str) -> None:
    """Each call that fails is named with the driver's words and what mends it, in one line; nothing is raised."""
    machine.fail(call, code)
    driver = probe_driver()
    assert driver.gpus == ()
    with pytest.raises(EngineError, match=says) as caught:
        driver.require_gpu()
    assert "\n" not in str(caught.value)


def test_hidden_gpus_are_no_gpus(machine: Machine) -> None:
    """A driver that shows no GPU points to the variable that hides them."""
    machine.library.gpus = []
    assert "CUDA_VISIBLE_DEVICES" in probe_driver().problem


def test_a_driver_that_lacks_a_function_counts_as_none(machine: Machine) -> None:
    """A library that is no driver, or one from long ago, is no reason to crash."""
    machine.library.missing.add("cuDeviceTotalMem_v2")
    assert "cuDeviceTotalMem_v2" in probe_driver().problem
