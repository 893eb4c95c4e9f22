"""load_engine: which file, backend and precision run, and why."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import rt_seg
from rt_seg.engines import PrecisionChoice, load, load_engine
from rt_seg.engines.cpu import Cpu
from rt_seg.engines.model_file import int8_neighbour
from rt_seg.engines.precision import choose_precision
from rt_seg.engines.tensorrt.driver import Driver
from rt_seg.errors import EngineError, ModelError

PLAIN = Cpu("plain", "GenuineIntel", frozenset({"avx2"}))
VNNI = replace(PLAIN, name="with VNNI", flags=frozenset({"avx2", "avx_vnni"}))
AMX = replace(PLAIN, name="with AMX", flags=frozenset({"avx512_bf16", "amx_bf16"}))
ZEN = Cpu("Zen", "AuthenticAMD", frozenset({"avx512_bf16", "avx512_vnni"}))
XEON_WITHOUT_AMX = replace(ZEN, name="Xeon", vendor="GenuineIntel")

GOOD_INT8 = {"int8_mdice_drop": 0.004}
GOOD_BF16 = {"bf16_mdice_drop": -0.001}


def test_the_public_name_is_the_same_function() -> None:
    """`rt_seg.load_engine` is the engines' own, loaded on first use."""
    assert rt_seg.load_engine is load_engine
    assert {"load_engine", "__version__"} <= set(dir(rt_seg))
    assert rt_seg.__version__.count(".") >= 2
    with pytest.raises(AttributeError, match="no attribute 'load_motor'"):
        getattr(rt_seg, "load_" + "motor")


@pytest.mark.parametrize("name", [None, "auto", "cpu"])
def test_names_mean_the_packaged_model(
    name: str | None, tiny_model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a path the packaged model runs on the CPU, and the notes say so."""
    monkeypatch.setattr(load, "PACKAGED_MODEL", tiny_model_path)
    with load_engine(name) as engine:
        assert engine.info.model_path == str(tiny_model_path)
        assert "packaged model on the CPU" in engine.info.notes[0]


def test_auto_says_why_no_gpu(tiny_model_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a GPU the notes give the driver's reason for the CPU; with one, see the tests of TensorRT."""
    monkeypatch.setattr(load, "PACKAGED_MODEL", tiny_model_path)
    monkeypatch.setattr(load, "probe_driver", lambda: Driver(problem="there is no driver; install it"))
    with load_engine("auto") as engine:
        assert engine.info.notes[0] == "the packaged model on the CPU: no NVIDIA GPU here (there is no driver)"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("model.engine", "model.engine: there is no such engine; build it: rt-seg build-engine"),
        ("weights.keras", "is not a model that rt-seg runs"),
        ("gpu", "is not a model that rt-seg runs"),
        ("http://host/model.onnx", "no such model file"),
        ("absent.ONNX", "no such model file"),
    ],
)
def test_refuses_what_is_no_model(name: str, says: str) -> None:
    """Another kind of file, an unknown name or a missing file is refused in one line that names it."""
    with pytest.raises(ModelError, match=says) as caught:
        load_engine(name)
    assert "\n" not in str(caught.value)


def test_settings_reach_the_engine(tiny_model_path: Path) -> None:
    """Path objects are taken, and parallel_calls and precision are what was asked for."""
    with load_engine(tiny_model_path, precision="f32", threads=1, parallel_calls=3) as engine:
        assert engine.info.parallel_calls == 3
        assert (engine.info.backend, engine.info.precision) == ("openvino", "f32")


@pytest.mark.parametrize(
    ("f32_quality", "int8_quality", "cpu", "expected"),
    [
        (GOOD_BF16, GOOD_INT8, ZEN, "int8"),
        (GOOD_BF16, GOOD_INT8, VNNI, "int8"),
        (GOOD_BF16, GOOD_INT8, AMX, "bf16"),
        (GOOD_BF16, {"int8_mdice_drop": 0.006}, ZEN, "bf16"),
        (GOOD_BF16, {}, ZEN, "bf16"),
        (GOOD_BF16, {"int8_mdice_drop": float("nan")}, ZEN, "bf16"),
        (GOOD_BF16, {}, XEON_WITHOUT_AMX, "f32"),
        ({"bf16_mdice_drop": 0.0051}, {}, ZEN, "f32"),
        ({}, {}, ZEN, "f32"),
        (GOOD_BF16, GOOD_INT8, PLAIN, "f32"),
    ],
)
def test_auto_takes_the_fastest_that_passed_its_gate(
    write_pair: Callable[..., Path],
    tmp_path: Path,
    f32_quality: dict[str, float],
    int8_quality: dict[str, float],
    cpu: Cpu,
    expected: str,
) -> None:
    """int8 before bf16 before f32, each only with its figure and on a processor that gains by it."""
    choice = choose_precision(write_pair(tmp_path, f32_quality, int8_quality), "auto", cpu)
    assert choice.precision == expected
    assert choice.model.path.name == ("network.int8.onnx" if expected == "int8" else "network.onnx")
    assert choice.reason.startswith(expected)


def test_auto_leaves_out_an_int8_file_of_another_model(
    write_pair: Callable[..., Path], write_tiny_model: Callable[..., Path], tmp_path: Path
) -> None:
    """After a new training the int8 file left over from the old one does not run, and the reason says so."""
    path = write_pair(tmp_path, {}, GOOD_INT8)
    write_tiny_model(path, name="network", width=48, height=32)
    choice = choose_precision(path, "auto", ZEN)
    assert choice.precision == "f32"
    assert "was not quantised from network.onnx as it is now" in choice.reason
    with pytest.raises(ModelError, match="was not quantised from"):
        choose_precision(path, "int8", ZEN)


def test_auto_leaves_out_a_broken_int8_file(tiny_model_path: Path, tmp_path: Path) -> None:
    """A broken neighbour costs speed, not the run."""
    path = tmp_path / "tiny.onnx"
    path.write_bytes(tiny_model_path.read_bytes())
    int8_neighbour(path).write_bytes(b"half")
    choice = choose_precision(path, "auto", ZEN)
    assert choice.precision == "f32"
    assert "tiny.int8.onnx: is not an ONNX file" in choice.reason


@pytest.mark.parametrize("wanted", ["f32", "bf16", "int8"])
def test_a_precision_asked_for_needs_no_gate(
    write_pair: Callable[..., Path], tmp_path: Path, wanted: PrecisionChoice
) -> None:
    """Who asks for a precision gets it, measured or not."""
    choice = choose_precision(write_pair(tmp_path), wanted, ZEN)
    assert (choice.precision, choice.reason) == (wanted, f"{wanted}, as asked for")


@pytest.mark.parametrize(("wanted", "says"), [("bf16", "bfloat16"), ("int8", "VNNI")])
def test_refuses_what_the_cpu_cannot(tiny_model_path: Path, wanted: PrecisionChoice, says: str) -> None:
    """A precision that this processor would only emulate is refused, with its name."""
    with pytest.raises(EngineError, match=rf"plain.*{says}"):
        choose_precision(tiny_model_path, wanted, PLAIN)


def test_refuses_int8_without_its_file(tiny_model_path: Path) -> None:
    """Asked for int8, a model without an int8 file says which file is missing."""
    with pytest.raises(ModelError, match=r"no tiny\.int8\.onnx beside"):
        choose_precision(tiny_model_path, "int8", ZEN)


def test_an_int8_file_is_taken_by_its_path(write_pair: Callable[..., Path], tmp_path: Path) -> None:
    """A path to an int8 file means that file, in int8 and nothing else."""
    path = int8_neighbour(write_pair(tmp_path))
    assert choose_precision(path, "auto", ZEN).precision == "int8"
    assert choose_precision(path, "int8", ZEN).model.path == path
    with pytest.raises(ModelError, match="cannot run in f32"):
        choose_precision(path, "f32", ZEN)
    with pytest.raises(EngineError, match="VNNI"):
        choose_precision(path, "auto", PLAIN)


@pytest.mark.parametrize("module", ["rt_seg", "rt_seg.engines"])
def test_importing_loads_no_backend(module: str) -> None:
    """Importing the package or this room loads neither TensorFlow nor TensorRT, OpenVINO, onnx or PyAV."""
    code = f"import sys, {module}; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    loaded = set(run.stdout.split())
    assert "rt_seg" in loaded
    assert not loaded & {"tensorflow", "keras", "tensorrt", "pycuda", "openvino", "onnx", "onnxruntime", "av"}


def test_the_packaged_model_loads() -> None:
    """The model that ships keeps the contract, in every precision that this processor runs."""
    if not load.PACKAGED_MODEL.exists():
        pytest.skip("this checkout has no packaged model yet")
    with load_engine() as engine:
        assert engine.spec.class_names == ("polyp",)
