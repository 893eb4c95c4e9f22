"""Loading and proving an engine on a pretended machine: what runs, what is refused, and with which words."""

import json
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_seg.engines import load, load_engine
from rt_seg.engines.model_file import sha256_of
from rt_seg.engines.tensorrt import libraries as libraries_module
from rt_seg.engines.tensorrt.cache import cached_engine_path
from rt_seg.engines.tensorrt.driver import Driver
from rt_seg.engines.tensorrt.engine import TensorRtEngine, load_tensorrt_engine, split_batch
from rt_seg.engines.tensorrt.gate import LIMITS
from rt_seg.engines.tensorrt.manifest import manifest_path
from rt_seg.engines.tensorrt.self_test import GATES, record_path
from rt_seg.errors import EngineError, MissingDependencyError, ModelError, RtSegError

from .engine_files import plan_of, write_engine
from .fakes import CudaLogicError, Machine, no_library


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine with a GPU."""
    machine = Machine()
    machine.install(monkeypatch)
    return machine


@pytest.fixture(scope="session")
def model(write_tiny_model: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A deployable model of 64x48 whose probability is the red channel, as is that of the pretended GPU."""
    return write_tiny_model(tmp_path_factory.mktemp("model") / "tiny.onnx", width=64, height=48)


@pytest.fixture
def path(model: Path, tmp_path: Path) -> Path:
    """An engine of that model, which lies beside it."""
    (tmp_path / "tiny.onnx").write_bytes(model.read_bytes())
    return write_engine(tmp_path / "tiny.engine", model)


@pytest.fixture
def packaged(model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The tiny model as the packaged one, with a cache of its own: where its engine for the machine's GPU is kept."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(load, "PACKAGED_MODEL", model)
    monkeypatch.setattr("rt_seg.engines.tensorrt.self_test.PACKAGED_MODEL", model)
    monkeypatch.setattr("rt_seg.engines.tensorrt.checks.PACKAGED_MODEL", model)
    return cached_engine_path(sha256_of(model), "gpu", "fp16", "tensorrt")


def refusal(kind: type[RtSegError], call: Callable[[], Any]) -> str:
    """The line with which something is refused."""
    with pytest.raises(kind) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def inverted(frames: Any) -> Any:
    """A network that computes something else."""
    return 255 - frames[..., 2]


def test_an_engine_file_is_loaded_by_its_suffix(machine: Machine, path: Path) -> None:
    """`load_engine` runs an .engine on the GPU and says what runs, how, and that it was proven."""
    with load_engine(path) as engine:
        assert isinstance(engine, TensorRtEngine)
        frames = np.random.default_rng(0).integers(0, 256, (7, 48, 64, 3), np.uint8)
        np.testing.assert_array_equal(engine.infer(frames), frames[..., 2])
        info = engine.info
    assert (info.backend, info.device, info.precision) == ("tensorrt", "NVIDIA RTX A4000", "fp16")
    assert (info.model_path, info.parallel_calls) == (str(path), 3)
    assert info.notes[0] == "fp16 by tensorrt 11.4.0.106, batch sizes 1, 4"
    assert info.notes[-1].startswith("self-test passed: mDice 1.0000 with the CPU engine on the samples (gate 0.99)")
    assert machine.left() == {}
    assert machine.broken_rules == []


def test_settings_reach_the_engine(machine: Machine, path: Path) -> None:
    """As many frames are in flight as asked for."""
    with load_engine(path, parallel_calls=2) as engine:
        assert engine.info.parallel_calls == 2
    assert machine.names("Stream").count("Stream") == 2


def test_times_of_every_part_are_told(machine: Machine, path: Path) -> None:
    """For measurements a batch comes with the times of the parts that it was split into."""
    del machine
    with load_tensorrt_engine(path) as engine:
        probability, times = engine.infer_timed(np.zeros((6, 48, 64, 3), np.uint8))
    assert probability.shape == (6, 48, 64)
    assert len(times) == 3  # 4, 1 and 1


@pytest.mark.parametrize(
    ("settings", "says"),
    [({"precision": "f32"}, "computes in fp16"), ({"precision": "bf16"}, "computes in fp16")],
)
def test_a_precision_cannot_be_chosen_afterwards(path: Path, settings: dict[str, Any], says: str) -> None:
    """The options of the CPU do not go unheard: they are refused."""
    assert says in refusal(ModelError, lambda: load_engine(path, **settings))


@pytest.mark.parametrize("settings", [{"threads": 2}, {"parallel_calls": 0}])
def test_senseless_settings_are_a_mistake(path: Path, settings: dict[str, Any]) -> None:
    """Threads are the CPU's, and at least one frame is in flight."""
    with pytest.raises(ValueError, match="parallel_calls is at least 1"):
        load_engine(path, **settings)


def test_without_a_driver(path: Path) -> None:
    """No driver: one line, and neither pycuda nor TensorRT is imported."""
    with no_library():
        text = refusal(EngineError, lambda: load_engine(path))
    assert text.startswith("there is no NVIDIA driver on this machine; install it, or run on the CPU (--engine cpu)")
    assert not {"pycuda.driver", "tensorrt"} & set(sys.modules)


@pytest.mark.parametrize(
    ("module", "says"),
    [
        ("tensorrt", "tensorrt is not installed; pip install 'rt-seg[tensorrt]'"),
        ("pycuda.driver", "pycuda is not installed; pip install pycuda (it is compiled"),
    ],
)
def test_without_a_library(
    machine: Machine, path: Path, module: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not installed is named with the command that installs it."""
    monkeypatch.delitem(sys.modules, module)
    if module == "pycuda.driver":
        monkeypatch.delitem(sys.modules, "pycuda")
    assert refusal(MissingDependencyError, lambda: load_engine(path)).startswith(says)
    assert machine.names("retain_primary_context") == []


@pytest.mark.parametrize(
    "error", [ImportError("libnvinfer.so.11: cannot\nopen"), OSError("bad ELF"), ModuleNotFoundError("x", name="x")]
)
def test_a_library_that_cannot_be_loaded(
    machine: Machine, path: Path, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broken installation is one line with the loader's reason."""
    del machine

    def broken(name: str) -> object:
        assert name == "tensorrt"
        raise error

    monkeypatch.setattr(libraries_module, "import_module", broken)
    text = refusal(MissingDependencyError, lambda: load_engine(path))
    assert text.startswith(f"tensorrt cannot be loaded ({' '.join(str(error).split())})")
    assert "pip install 'rt-seg[tensorrt]'" in text


def test_a_driver_too_old(machine: Machine, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorRT for CUDA 13 on a driver for 12.4 could crash: it is not imported, and the line says what to update."""

    def version(name: str) -> str:
        if name == "tensorrt-cu13":
            return "11.4.0.106"
        raise PackageNotFoundError(name)

    monkeypatch.setattr(libraries_module, "version", version)
    machine.library.version = 12040
    text = refusal(EngineError, lambda: load_engine(path))
    assert "is too old: it runs CUDA 12.4, and tensorrt-cu13 11.4.0.106 needs 13.0 or newer; update the driver" in text
    assert "pip install tensorrt-cu12" in text
    assert machine.trt.loggers == []
    machine.library.version = 13000
    load_engine(path).close()


def test_another_version_of_tensorrt(machine: Machine, path: Path) -> None:
    """An engine from before an update of TensorRT says so before it is loaded."""
    machine.trt.__version__ = "11.5.0.1"
    text = refusal(ModelError, lambda: load_engine(path))
    assert "was built by tensorrt 11.4.0.106, and 11.5.0.1 is installed; build it again: rt-seg build-engine" in text
    assert "Runtime" not in machine.names()


def test_another_gpu(machine: Machine, path: Path) -> None:
    """An engine from another machine is refused before anything is imported."""
    machine.library.gpus = [("NVIDIA GeForce RTX 4090", 8, 9)]
    text = refusal(ModelError, lambda: load_engine(path))
    assert "and this machine has NVIDIA GeForce RTX 4090 (compute capability 8.9)" in text


def test_the_right_one_of_several_gpus(machine: Machine, path: Path) -> None:
    """With several GPUs the engine runs on the one that it was built for."""
    machine.library.gpus.insert(0, ("NVIDIA T400", 7, 5))
    load_engine(path).close()
    assert [call.arguments for call in machine.calls if call.name == "Device"] == [(1,)]


def test_the_self_test_is_done_once(machine: Machine, path: Path) -> None:
    """What was proven here is recorded beside the engine, and the next start believes it."""
    load_engine(path).close()
    record = json.loads(record_path(path).read_text())
    assert record["agreement"]["mdice"] == 1.0
    assert record["place"]["device"] == "NVIDIA RTX A4000 (compute capability 8.6)"
    machine.network = inverted  # a second test would fail
    with load_engine(path) as engine:
        assert engine.info.notes[-1].startswith("self-test passed here before: mDice 1.0000")


CHANGES: dict[str, Callable[[Machine, Path], object]] = {
    "driver": lambda machine, _: setattr(machine.library, "version", 13010),
    "record": lambda _, path: record_path(path).write_text("{"),
    "record of another schema": lambda _, path: record_path(path).write_text('{"schema_version": 2}'),
    "no record": lambda _, path: record_path(path).unlink(),
    "failed record": lambda _, path: record_path(path).write_text(
        record_path(path).read_text().replace('"mdice": 1.0,', '"mdice": 0.5,')
    ),
    "plan": lambda _, path: write_engine(path, path.with_suffix(".onnx"), plan_of(payload=b"other weights")),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_asks_for_a_new_self_test(machine: Machine, path: Path, change: str) -> None:
    """Another driver or plan, and a record that is gone or broken, prove nothing about what runs now."""
    load_engine(path).close()
    CHANGES[change](machine, path)
    machine.network = inverted
    refusal(EngineError, lambda: load_engine(path))


def test_an_engine_that_computes_something_else_is_refused(machine: Machine, path: Path) -> None:
    """Both figures and the gate are in the line, the GPU is released, and nothing is recorded."""
    machine.network = inverted
    text = refusal(EngineError, lambda: load_engine(path))
    assert text.startswith(f"{path}: refused, it computes other masks than the CPU: mDice 0.")
    assert "(gate 0.99), largest difference 255/255; with the true masks 0." in text
    assert text.endswith("--precision fp16 --batch 1,4")
    assert not record_path(path).exists()
    assert machine.left() == {}


def test_every_batch_size_is_proven(machine: Machine, path: Path) -> None:
    """A profile that computes wrongly is found, though the smaller one is right."""
    machine.network = lambda frames: frames[..., 2] if len(frames) == 1 else inverted(frames)
    refusal(EngineError, lambda: load_engine(path))


def test_a_small_difference_passes(machine: Machine, path: Path) -> None:
    """FP16 differs in the last digits: the note says by how much."""
    machine.network = lambda frames: np.minimum(frames[..., 2], 254)
    with load_engine(path) as engine:
        assert "largest difference 1/255" in engine.info.notes[-1]


def test_int8_has_a_gate_of_its_own(machine: Machine, model: Path, path: Path) -> None:
    """The gate is that of the precision: 0.98 for int8."""
    del machine
    write_engine(path, model, precision="int8")
    with load_engine(path) as engine:
        assert "(gate 0.98)" in engine.info.notes[-1]


def test_the_gates_are_those_of_the_build() -> None:
    """What a build promises is what the first start on a GPU demands."""
    assert set(LIMITS.items()) <= set(GATES.items())


def test_without_its_model_an_engine_cannot_be_proven(machine: Machine, path: Path) -> None:
    """An engine that was moved away from its model is not run unproven; the line says what to do."""
    path.with_suffix(".onnx").unlink()
    text = refusal(ModelError, lambda: load_engine(path))
    assert "put that beside the engine as tiny.onnx" in text
    assert machine.left() == {}


def test_the_model_is_found_where_the_build_found_it(machine: Machine, model: Path, path: Path) -> None:
    """The manifest knows where the model was; another file there is not taken for it."""
    del machine
    path.with_suffix(".onnx").write_bytes(b"another")
    write_engine(path, model, options={"model": str(model)})
    load_engine(path).close()


def test_a_folder_that_cannot_be_written_costs_the_record_only(
    machine: Machine, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a read-only medium the self-test is done at every start, and the notes say so."""
    del machine

    def unwritable(_: Path) -> Path:
        return path / "below" / "a file"

    monkeypatch.setattr("rt_seg.engines.tensorrt.self_test.record_path", unwritable)
    with load_engine(path) as engine:
        assert engine.info.notes[-1].startswith("the self-test is repeated at the next start: ")


def test_a_failure_during_the_self_test_releases_the_gpu(machine: Machine, path: Path) -> None:
    """A GPU that fails at its first frames is refused like one that fails later."""
    machine.fail("Event.synchronize", CudaLogicError("the GPU is lost"))
    assert "the GPU is lost" in refusal(EngineError, lambda: load_engine(path))
    assert machine.left() == {}


def test_an_engine_that_nobody_closes_is_released(machine: Machine, path: Path) -> None:
    """A forgotten engine gives the GPU back when it is forgotten, not at the end of the process."""
    engine = load_engine(path)
    assert machine.left() != {}
    del engine
    assert machine.left() == {}
    assert machine.broken_rules == []


def test_auto_takes_the_engine_of_this_gpu(machine: Machine, model: Path, packaged: Path) -> None:
    """With a GPU and an engine for it in the cache that runs, and the notes say which."""
    del machine
    write_engine(packaged, model)
    with load_engine("auto") as engine:
        assert engine.info.model_path == str(packaged)
        assert engine.info.notes[0] == f"{packaged.name}: built for this NVIDIA RTX A4000"


def test_auto_leaves_out_engines_of_other_gpus(machine: Machine, model: Path, packaged: Path) -> None:
    """Of several engines in the cache the one that fits is taken."""
    del machine
    write_engine(packaged, model)
    write_engine(packaged.with_name("newer.engine"), model, device_name="NVIDIA H100")
    with load_engine() as engine:
        assert engine.info.model_path == str(packaged)


def no_engine(_machine: Machine, _path: Path, _model: Path) -> None:
    """Nothing was built yet."""


def for_another_gpu(_machine: Machine, path: Path, model: Path) -> None:
    """The cache came from another machine."""
    write_engine(path, model, device_name="NVIDIA H100")


def without_manifest(_machine: Machine, path: Path, model: Path) -> None:
    """The engine was copied alone."""
    write_engine(path, model)
    manifest_path(path).unlink()


def damaged(_machine: Machine, path: Path, model: Path) -> None:
    """The last byte is gone."""
    write_engine(path, model)
    path.write_bytes(path.read_bytes()[:-1])


def no_tensorrt(_machine: Machine, path: Path, model: Path) -> None:
    """TensorRT was uninstalled."""
    write_engine(path, model)
    del sys.modules["tensorrt"]


def other_masks(machine: Machine, path: Path, model: Path) -> None:
    """The GPU computes something else."""
    write_engine(path, model)
    machine.network = inverted


def gpu_fails(machine: Machine, path: Path, model: Path) -> None:
    """CUDA cannot be initialised."""
    write_engine(path, model)
    machine.fail("init", CudaLogicError("lost"))


CPU_INSTEAD: dict[Callable[[Machine, Path, Path], None], str] = {
    no_engine: "no engine for it yet; build one with: rt-seg build-engine",
    for_another_gpu: "was built for another GPU; build one with: rt-seg build-engine",
    without_manifest: "has no usable manifest",
    damaged: "truncated, altered or replaced",
    no_tensorrt: "the engine for this GPU does not run: tensorrt is not installed",
    other_masks: "refused, it computes other masks",
    gpu_fails: "NVIDIA RTX A4000 failed (lost)",
}


@pytest.mark.parametrize("prepare", CPU_INSTEAD)
def test_auto_falls_back_to_the_cpu_and_says_why(
    machine: Machine, model: Path, packaged: Path, prepare: Callable[[Machine, Path, Path], None]
) -> None:
    """Whatever keeps the GPU from running, frames are segmented, and the first note has the reason."""
    prepare(machine, packaged, model)
    with load_engine("auto") as engine:
        assert engine.info.backend == "openvino"
        assert engine.info.notes[0].startswith("the packaged model on the CPU: ")
        assert CPU_INSTEAD[prepare] in engine.info.notes[0]


@pytest.mark.parametrize("settings", [{"precision": "f32"}, {"threads": 1}])
def test_auto_heeds_what_is_asked_of_the_cpu(
    machine: Machine, model: Path, packaged: Path, settings: dict[str, Any]
) -> None:
    """Who asks for a precision or threads of the CPU gets the CPU, GPU or not."""
    write_engine(packaged, model)
    with load_engine("auto", **settings) as engine:
        assert engine.info.backend == "openvino"
    assert machine.calls == []


def test_the_cpu_asks_nothing_of_the_driver(machine: Machine, packaged: Path) -> None:
    """Asked for the CPU, the driver is left alone."""
    del packaged
    load_engine("cpu").close()
    assert machine.calls == []


def test_a_gpu_is_required_before_any_import() -> None:
    """Without a GPU nothing is imported, whoever asks."""
    with pytest.raises(EngineError, match="no driver"):
        libraries_module.load_libraries("tensorrt", Driver(problem="no driver"))


@given(
    st.integers(1, 100),
    st.sets(st.integers(1, 32), min_size=1, max_size=4).map(lambda sizes: tuple(sorted(sizes))),
)
def test_a_batch_is_split_into_what_fits(count: int, sizes: tuple[int, ...]) -> None:
    """Every frame is in exactly one part, in order; no part is larger than the largest size, and only the last pads."""
    parts = list(split_batch(count, sizes))
    assert [index for part in parts for index in range(part.start, part.stop)] == list(range(count))
    lengths = [part.stop - part.start for part in parts]
    assert max(lengths) <= max(sizes)
    assert all(length in sizes for length in lengths[:-1])
    with suppress(IndexError):
        assert lengths == sorted(lengths, reverse=True)
