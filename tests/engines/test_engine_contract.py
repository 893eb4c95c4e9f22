"""The contract of `Engine.infer`, the same for every backend that this machine has."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from rt_seg.engines import CallableEngine, Engine, ModelSpec, load_engine
from rt_seg.engines.tensorrt.checks import EngineFile
from rt_seg.engines.tensorrt.driver import Gpu
from rt_seg.engines.tensorrt.engine import TensorRtEngine
from rt_seg.engines.tensorrt.libraries import Libraries, TensorRtLog
from rt_seg.errors import EngineError

from .tensorrt.engine_files import manifest_of, plan_of
from .tensorrt.fakes import GPU_NAME, Machine

UInt8Array = npt.NDArray[np.uint8]


def tensorrt_engine(model: Path) -> Engine:
    """The GPU engine on a pretended machine: its own code, with stand-ins for TensorRT and pycuda."""
    machine, plan = Machine(), plan_of()
    libraries = Libraries("tensorrt", machine.trt, machine.cuda, TensorRtLog(machine.trt))
    return TensorRtEngine(EngineFile(model, manifest_of(plan, model), plan), Gpu(0, GPU_NAME, "8.6", 0), libraries)


BACKENDS: dict[str, Callable[[Path], Engine]] = {
    "callable": lambda _: CallableEngine(lambda frames: frames[..., 2].copy(), ModelSpec("tiny", 64, 48)),
    "openvino": load_engine,
    "tensorrt": tensorrt_engine,
}


@pytest.fixture(scope="module")
def path(write_tiny_model: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that is wider than high, so that a swap of axes shows; its probability is the red channel."""
    return write_tiny_model(tmp_path_factory.mktemp("contract") / "tiny.onnx", width=64, height=48)


@pytest.fixture(params=BACKENDS)
def engine(request: pytest.FixtureRequest, path: Path) -> Iterator[Engine]:
    """Each backend in turn."""
    with BACKENDS[request.param](path) as engine:
        yield engine


def pictures(count: int) -> UInt8Array:
    """Random frames of the model's size."""
    return np.random.default_rng(count).integers(0, 256, (count, 48, 64, 3), np.uint8)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_answers_each_frame(engine: Engine, count: int) -> None:
    """A batch of any size gives one probability map a frame, in order."""
    frames = pictures(count)
    probability = engine.infer(frames)
    assert probability.dtype == np.uint8
    np.testing.assert_array_equal(probability, frames[..., 2])


def test_says_what_runs(engine: Engine) -> None:
    """The spec is the file's, and the description of what runs is filled in."""
    assert (engine.spec.width, engine.spec.height) == (64, 48)
    assert engine.info.backend
    assert engine.info.device
    assert engine.info.parallel_calls >= 1


def test_the_caller_owns_the_answer(engine: Engine) -> None:
    """A later call, and the end of the engine, leave an earlier answer as it was; it can be written to."""
    first = engine.infer(pictures(1))
    kept = first.copy()
    engine.infer(255 - pictures(1))
    engine.close()
    np.testing.assert_array_equal(first, kept)
    first[:] = 0


def test_leaves_the_input_alone(engine: Engine) -> None:
    """Frames may be read-only, and are as they were afterwards."""
    frames = pictures(2)
    kept = frames.copy()
    frames.flags.writeable = False
    engine.infer(frames)
    np.testing.assert_array_equal(frames, kept)


WRONG = {
    "dtype": np.zeros((1, 48, 64, 3), np.float32),
    "signed dtype": np.zeros((1, 48, 64, 3), np.int8),
    "no batch axis": np.zeros((48, 64, 3), np.uint8),
    "empty batch": np.zeros((0, 48, 64, 3), np.uint8),
    "width and height swapped": np.zeros((1, 64, 48, 3), np.uint8),
    "size": np.zeros((1, 96, 128, 3), np.uint8),
    "channels": np.zeros((1, 48, 64, 4), np.uint8),
    "channels first": np.zeros((1, 3, 48, 64), np.uint8),
    "reversed view": np.zeros((1, 48, 64, 3), np.uint8)[:, :, ::-1],
    "columns first": np.asfortranarray(np.zeros((2, 48, 64, 3), np.uint8)),
}


@pytest.mark.parametrize("frames", WRONG.values(), ids=WRONG.keys())
def test_refuses_a_wrong_array_and_goes_on(engine: Engine, frames: UInt8Array) -> None:
    """A wrong dtype, shape, size or memory layout is refused by a line that says what is wanted; the engine goes on."""
    with pytest.raises(EngineError, match="infer wants") as caught:
        engine.infer(frames)
    assert "\n" not in str(caught.value)
    assert engine.infer(pictures(1)).shape == (1, 48, 64)


def test_refuses_use_after_close(engine: Engine) -> None:
    """A closed engine says so, and closing twice is no mistake."""
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.infer(pictures(1))


def test_the_context_manager_closes(engine: Engine) -> None:
    """Leaving the with block closes the engine."""
    with engine:
        engine.infer(pictures(1))
    with pytest.raises(EngineError, match="closed"):
        engine.infer(pictures(1))


@pytest.mark.parametrize(
    "answer", [np.zeros((1, 48, 64), np.float32), np.zeros((1, 64, 48), np.uint8), np.zeros((48, 64), np.uint8)]
)
def test_a_callable_that_answers_wrongly_is_found_out(answer: npt.NDArray[np.uint8]) -> None:
    """A function that returns another dtype or shape than the contract's is refused."""
    engine = CallableEngine(lambda _: answer, ModelSpec("wrong", 64, 48))
    with pytest.raises(EngineError, match="expected uint8"):
        engine.infer(pictures(1))
