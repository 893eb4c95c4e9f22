"""The CPU engine: the same numbers as another runtime, from many threads, in the precision it says."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest

from rt_seg.engines import openvino as backend
from rt_seg.engines.cpu import Cpu
from rt_seg.engines.openvino import OpenVinoEngine, default_parallel_calls, load_openvino_engine
from rt_seg.errors import EngineError, ModelError

UInt8Array = npt.NDArray[np.uint8]

CPU = Cpu.read()


def pictures(count: int, width: int = 48, height: int = 32) -> UInt8Array:
    """Random frames."""
    return np.random.default_rng(3).integers(0, 256, (count, height, width, 3), np.uint8)


def by_onnxruntime(path: Path, frames: UInt8Array) -> UInt8Array:
    """The same model in ONNX Runtime, which computes in f32."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return cast("UInt8Array", session.run(None, {"frames": frames})[0])


def largest_difference(one: UInt8Array, other: UInt8Array) -> int:
    """In steps of 1/255."""
    return int(np.abs(one.astype(int) - other).max())


@pytest.fixture
def engine(network_path: Path) -> Iterator[OpenVinoEngine]:
    """Two inferences in flight, one thread each."""
    with load_openvino_engine(network_path, precision="f32", threads=1, parallel_calls=2) as engine:
        yield engine


def test_agrees_with_onnxruntime_in_f32(engine: OpenVinoEngine, network_path: Path) -> None:
    """Both runtimes give the same probability within one step of 255, over the whole range."""
    frames = pictures(8)
    expected = by_onnxruntime(network_path, frames)
    assert expected.std() > 20  # a flat answer would agree with anything
    assert largest_difference(engine.infer(frames), expected) <= 1


def test_a_batch_equals_single_frames(engine: OpenVinoEngine) -> None:
    """A batch of N gives exactly what N calls give."""
    frames = pictures(7)
    singly = np.concatenate([engine.infer(frames[i : i + 1]) for i in range(len(frames))])
    np.testing.assert_array_equal(engine.infer(frames), singly)


@pytest.mark.parametrize(("threads", "parallel_calls"), [(1, 1), (1, 3), (2, 1), (None, None)])
def test_parallel_calls_give_the_right_answers(
    network_path: Path, threads: int | None, parallel_calls: int | None
) -> None:
    """More threads than there are requests get each its own frame's answer."""
    frames = pictures(60)
    expected = by_onnxruntime(network_path, frames)
    with (
        load_openvino_engine(network_path, precision="f32", threads=threads, parallel_calls=parallel_calls) as shared,
        ThreadPoolExecutor(5) as pool,
    ):
        answers = list(pool.map(shared.infer, np.split(frames, len(frames))))
        assert shared.info.parallel_calls == (parallel_calls or default_parallel_calls(1))
    assert largest_difference(np.concatenate(answers), expected) <= 1


def test_close_ends_waiting_calls(engine: OpenVinoEngine) -> None:
    """Calls that wait for a free request when the engine is closed are refused; none waits for ever."""
    outcomes: Counter[str] = Counter()
    started = threading.Barrier(9)

    def call_until_refused() -> None:
        started.wait(10)
        try:
            while True:
                engine.infer(pictures(1))
        except EngineError as exc:
            outcomes[str(exc)] += 1

    callers = [threading.Thread(target=call_until_refused, daemon=True) for _ in range(8)]
    for caller in callers:
        caller.start()
    started.wait(10)
    engine.infer(pictures(1))
    engine.close()
    for caller in callers:
        caller.join(20)
    assert outcomes == {"the engine is closed; load it again": 8}


def test_a_failure_while_running_is_translated(engine: OpenVinoEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenVINO's exception becomes one line, and the request goes back into the pool."""

    def fail(*_: object) -> None:
        raise RuntimeError("Exception from src/a.cpp:1:\nthe telling line\n\n")

    with monkeypatch.context() as patch:
        patch.setattr(backend._Request, "run", fail)  # pyright: ignore[reportPrivateUsage] - no input makes it fail
        for _ in range(4):
            with pytest.raises(EngineError, match=r"^OpenVINO failed while it ran \(the telling line\)"):
                engine.infer(pictures(1))
    assert engine.infer(pictures(1)).shape == (1, 32, 48)


@pytest.mark.parametrize(
    ("cores", "threads", "expected"), [(1, 1, 1), (2, 1, 2), (2, 2, 1), (2, 3, 1), (4, 1, 4), (64, 1, 4), (8, 4, 2)]
)
def test_default_parallel_calls(cores: int, threads: int, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """All cores are used and none twice, and a large machine is not filled for one video."""
    monkeypatch.setattr(backend, "usable_cores", lambda: cores)
    assert default_parallel_calls(threads) == expected


@pytest.mark.parametrize(("threads", "parallel_calls"), [(0, None), (None, 0), (-1, None), (-1, -1)])
def test_refuses_senseless_settings(network_path: Path, threads: int | None, parallel_calls: int | None) -> None:
    """Fewer than one thread or call is a mistake of the caller."""
    with pytest.raises(ValueError, match="at least 1"):
        load_openvino_engine(network_path, threads=threads, parallel_calls=parallel_calls)


def executed_types(engine: OpenVinoEngine) -> set[str]:
    """Number formats in which the convolutions really run."""
    request: Any = engine._free[0].request  # pyright: ignore[reportPrivateUsage] - only OpenVINO knows
    operations = request.get_compiled_model().get_runtime_model().get_ordered_ops()
    rows = [operation.get_rt_info() for operation in operations]
    types = [row["runtimePrecision"].astype(str) for row in rows if "Convolution" in row["layerType"].astype(str)]
    return set(types)


def test_f32_runs_in_f32(engine: OpenVinoEngine) -> None:
    """OpenVINO's own default would be bf16 on some machines: what runs is what was asked for."""
    assert engine.info.precision == "f32"
    assert executed_types(engine) == {"f32"}


@pytest.mark.skipif(not CPU.runs_bf16, reason="this CPU does not compute in bfloat16")
def test_bf16_runs_in_bf16(network_path: Path) -> None:
    """Asked for bf16, the convolutions run in bf16, and the masks stay close to f32."""
    frames = pictures(4)
    with load_openvino_engine(network_path, precision="bf16") as engine:
        assert engine.info.precision == "bf16"
        assert "bf16" in executed_types(engine)
        difference = largest_difference(engine.infer(frames), by_onnxruntime(network_path, frames))
    assert 0 < difference <= 12


@pytest.mark.skipif(not CPU.runs_int8, reason="this CPU has no 8-bit dot products")
def test_int8_runs_in_int8(write_pair: Callable[..., Path], tmp_path: Path) -> None:
    """A quantised file runs on 8-bit numbers, and its masks stay close to f32."""
    frames = pictures(4)
    path = write_pair(tmp_path)
    with load_openvino_engine(path, precision="int8") as engine:
        assert engine.info.precision == "int8"
        assert executed_types(engine) <= {"i8", "u8"}
        difference = largest_difference(engine.infer(frames), by_onnxruntime(path, frames))
    assert 0 < difference <= 30


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache, for this test alone."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "rt-seg" / "openvino"


def answer_of(path: Path) -> UInt8Array:
    """One answer of a freshly loaded engine."""
    with load_openvino_engine(path, precision="f32") as engine:
        return engine.infer(pictures(1))


def test_a_second_start_uses_the_cache(own_cache: Path, network_path: Path) -> None:
    """The compiled network is kept in the user's cache directory, and gives the same answer."""
    first = answer_of(network_path)
    (blob,) = own_cache.glob("*.blob")
    written = blob.stat().st_mtime_ns
    np.testing.assert_array_equal(answer_of(network_path), first)
    assert [file.stat().st_mtime_ns for file in own_cache.glob("*.blob")] == [written]


@pytest.mark.parametrize("damage", [b"", b"garbage" * 999, None], ids=["empty", "garbage", "truncated"])
def test_a_damaged_cache_does_no_harm(own_cache: Path, network_path: Path, damage: bytes | None) -> None:
    """A cache file that a full disk or a crash left broken is replaced, and the answer is right."""
    expected = answer_of(network_path)
    (blob,) = own_cache.glob("*.blob")
    content = blob.read_bytes()
    blob.chmod(0o600)
    blob.write_bytes(content[: len(content) // 2] if damage is None else damage)
    np.testing.assert_array_equal(answer_of(network_path), expected)


def test_without_a_cache_it_runs_all_the_same(
    network_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A home directory that cannot be written to costs time at the start, and nothing else."""
    (tmp_path / "file").write_text("not a directory")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert answer_of(network_path).shape == (1, 32, 48)


def test_the_cache_stays_small(
    own_cache: Path, write_tiny_model: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of many compiled networks the latest stay."""
    monkeypatch.setattr(backend, "_CACHED_MODELS", 2)
    for width in (8, 16, 24):
        load_openvino_engine(write_tiny_model(tmp_path / "tiny.onnx", width=width)).close()
    assert len(list(own_cache.glob("*.blob"))) == 2


def test_a_network_that_cannot_be_compiled_is_refused(network_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenVINO's refusal to compile becomes one line with the file's name."""

    def refuse(*_: object) -> None:
        raise RuntimeError("Exception from src/a.cpp:1:\nno such kernel\n")

    monkeypatch.setattr("openvino.Core.compile_model", refuse)
    with pytest.raises(ModelError, match=r"network\.onnx: OpenVINO cannot run it in f32 \(no such kernel\)"):
        load_openvino_engine(network_path, precision="f32")
