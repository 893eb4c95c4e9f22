"""The engine on a real GPU: skipped without one, with the reason; with RT_SEG_REQUIRE_GPU=1 that is a failure.

None of these tests has ever run: no GPU was at hand.
"""

import gc
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from rt_seg.engines import load_engine
from rt_seg.engines.load import PACKAGED_MODEL
from rt_seg.engines.resize import resize_image
from rt_seg.engines.samples import load_samples
from rt_seg.engines.tensorrt.build import BuildSettings, build_engine
from rt_seg.engines.tensorrt.checks import choose_gpu, read_engine_file
from rt_seg.engines.tensorrt.driver import Driver, probe_driver
from rt_seg.engines.tensorrt.engine import TensorRtEngine, load_tensorrt_engine
from rt_seg.engines.tensorrt.libraries import load_libraries
from rt_seg.engines.tensorrt.self_test import record_path
from rt_seg.errors import EngineError, RtSegError

pytestmark = [pytest.mark.gpu, pytest.mark.slow]

UInt8Array = npt.NDArray[np.uint8]


class Silent:
    """A build's report that nobody reads."""

    def note(self, text: str) -> None: ...

    def progress(self, text: str) -> None: ...


@pytest.fixture(scope="session")
def driver() -> Driver:
    """The driver of a machine that can run TensorRT engines."""
    found = probe_driver()
    try:
        load_libraries("tensorrt", found)
    except RtSegError as exc:
        if os.environ.get("RT_SEG_REQUIRE_GPU") == "1":
            pytest.fail(f"RT_SEG_REQUIRE_GPU=1, but {exc}")
        pytest.skip(str(exc))
    return found


@pytest.fixture(scope="session", params=["fp16", "fp32", "int8"])
def path(request: pytest.FixtureRequest, driver: Driver, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An engine of the packaged model, built here, in each precision."""
    file = tmp_path_factory.mktemp("engines") / f"polyp.{request.param}.engine"
    build_engine(BuildSettings(PACKAGED_MODEL, file, precision=request.param, batches=(1, 4)), Silent(), driver)
    return file


@pytest.fixture
def engine(path: Path) -> Iterator[TensorRtEngine]:
    """That engine, loaded and proven."""
    with load_tensorrt_engine(path) as loaded:
        yield loaded


def samples(engine: TensorRtEngine) -> UInt8Array:
    """The packaged samples at the model's size."""
    spec = engine.spec
    return np.stack([resize_image(item.image, spec.width, spec.height, spec.interpolation) for item in load_samples()])


def test_it_is_proven_at_its_first_start(engine: TensorRtEngine, path: Path) -> None:
    """The self-test against the CPU engine passed and is recorded."""
    assert record_path(path).exists()
    assert "self-test passed" in engine.info.notes[-1]


def test_it_runs_as_a_cuda_graph(engine: TensorRtEngine) -> None:
    """Every batch size was captured."""
    assert not any("CUDA graph" in note for note in engine.info.notes)


def test_a_batch_equals_single_frames(engine: TensorRtEngine) -> None:
    """The profiles give the same masks within what rounding allows, and the same frame always the same answer."""
    frames = samples(engine)
    together = engine.infer(frames)
    np.testing.assert_array_equal(together, engine.infer(frames))
    singly = np.concatenate([engine.infer(frame[None]) for frame in frames])
    assert np.abs(together.astype(np.int16) - singly).max() <= 8


def test_the_graph_computes_what_plain_calls_do(engine: TensorRtEngine, path: Path, driver: Driver) -> None:
    """With and without a CUDA graph the answers are the same."""
    file = read_engine_file(path)
    libraries = load_libraries("tensorrt", driver)
    with TensorRtEngine(file, choose_gpu(file, driver.gpus), libraries, graphs=False) as plain:
        np.testing.assert_array_equal(plain.infer(samples(engine)), engine.infer(samples(engine)))


def test_many_threads_get_their_own_answers(engine: TensorRtEngine) -> None:
    """More callers than frames in flight, each with its own frame."""
    frames = samples(engine)
    expected = [engine.infer(frame[None])[0] for frame in frames]
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(engine.infer, frames[index % 5][None]) for index in range(200)]
    for index, answer in enumerate(answers):
        np.testing.assert_array_equal(answer.result()[0], expected[index % 5])


def test_times_add_up(engine: TensorRtEngine) -> None:
    """The GPU's times are positive and below the time that the call took."""
    _, (times,) = engine.infer_timed(samples(engine)[:1])
    assert 0 < times.compute < 1000
    assert min(times.copy_in, times.copy_out) > 0


def test_closing_gives_the_memory_back(path: Path, driver: Driver) -> None:
    """Loading and closing over and over leaves no thread and no memory behind."""
    cuda = load_libraries("tensorrt", driver).cuda

    def free_bytes() -> int:
        cuda.init()
        context = cuda.Device(0).retain_primary_context()
        context.push()
        try:
            return int(cuda.mem_get_info()[0])
        finally:
            context.pop()

    load_tensorrt_engine(path).close()  # what CUDA keeps for the process, it has kept by then
    before = free_bytes()
    for _ in range(5):
        load_tensorrt_engine(path).close()
    gc.collect()
    assert free_bytes() >= before - 16 * 2**20
    assert not [thread for thread in threading.enumerate() if thread.name == "tensorrt"]


def test_use_after_close(engine: TensorRtEngine) -> None:
    """A closed engine says so, and the process lives."""
    frames = samples(engine)[:1]
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.infer(frames)


def test_auto_finds_what_build_engine_put_into_the_cache(
    driver: Driver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Built without a name, `load_engine("auto")` runs it on the GPU."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    built = build_engine(BuildSettings(PACKAGED_MODEL), Silent(), driver)
    with load_engine("auto") as loaded:
        assert (loaded.info.backend, loaded.info.model_path) == ("tensorrt", str(built.path))


def cut(plan: bytes) -> bytes:
    """Without its last byte."""
    return plan[:-1]


def emptied(plan: bytes) -> bytes:
    """Header and length as they were, zeros for the rest."""
    return plan[:200] + bytes(len(plan) - 200)


@pytest.mark.parametrize("damage", [cut, emptied])
def test_a_damaged_engine_is_refused_without_a_crash(
    path: Path, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    """What is not whole never reaches TensorRT."""
    copy = tmp_path / "damaged.engine"
    copy.write_bytes(damage(path.read_bytes()))
    copy.with_name("damaged.engine.json").write_text(path.with_name(f"{path.name}.json").read_text())
    with pytest.raises(RtSegError, match="truncated, altered or replaced"):
        load_tensorrt_engine(copy)
