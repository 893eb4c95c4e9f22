"""`rt_seg.stream`: real video as typed results in a Python loop, and nothing left behind however it is left."""

import contextlib
import gc
import inspect
import threading
from collections.abc import Callable, Generator, Iterator
from dataclasses import FrozenInstanceError
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

import rt_seg
from rt_seg.engines.engine import CallableEngine
from rt_seg.engines.load import load_engine
from rt_seg.engines.masks import iou
from rt_seg.engines.spec import ModelSpec
from rt_seg.errors import EngineError, InputError, ModelError, SourceError, SourceInterrupted
from rt_seg.realtime import command

pytestmark = pytest.mark.slow  # most of them run a whole process or stream

UInt8Array = npt.NDArray[np.uint8]
WriteClip = Callable[..., Path]
OpenFiles = Callable[[], set[str]]

WIDTH, HEIGHT, FRAMES = 320, 240, 30
plain: dict[str, Any] = {"roi": "full", "stabilise": "off", "min_frames": "1/1"}


def disc_picture(index: int) -> UInt8Array:
    """A red disc on green that moves by 4 pixels a frame: a polyp to the tiny model, which sees red."""
    picture = np.full((HEIGHT, WIDTH, 3), (60, 110, 0), np.uint8)
    return np.asarray(cv2.circle(picture, (80 + 4 * index, 120), 30, (0, 0, 255), -1), np.uint8)


@pytest.fixture(scope="module")
def clip(write_clip: WriteClip, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The disc for 30 frames, 25 a second; read-only."""
    pictures = [disc_picture(index) for index in range(FRAMES)]
    path = tmp_path_factory.mktemp("clip") / "disc.mp4"
    return write_clip(path, pictures=pictures, width=WIDTH, height=HEIGHT, options={"crf": "10"})


def red_engine(on_call: Callable[[int], object] = lambda _number: None) -> CallableEngine:
    """An engine that sees red, and tells the number of each call before it answers."""
    calls: list[None] = []

    def see(frames: UInt8Array) -> UInt8Array:
        calls.append(None)
        on_call(len(calls))
        return np.ascontiguousarray(frames[..., 2])

    return CallableEngine(see, ModelSpec("red", 64, 64))


@pytest.fixture(autouse=True)
def nothing_stays(open_files: OpenFiles) -> Iterator[None]:
    """After each test no thread of a stream runs, no file is open that was not, and OpenCV has its threads back."""
    gc.collect()
    files, threads = open_files(), cv2.getNumThreads()
    yield
    for thread in threading.enumerate():
        if thread.name.startswith("rt-seg "):
            thread.join(10)
            assert not thread.is_alive(), f"{thread.name} was left behind"
    assert {name for name in open_files() - files if ".mp4" in name or "socket" in name} == set()
    assert cv2.getNumThreads() == threads


def test_every_frame_of_a_file_comes_with_its_polyp(clip: Path, tiny_model_path: Path) -> None:
    """Each frame comes once and in order, with picture, mask, box and track where the disc is."""
    results = list(rt_seg.stream(clip, engine=tiny_model_path, **plain))
    assert [result.index for result in results] == list(range(FRAMES))
    assert [result.pts_seconds for result in results] == pytest.approx([index / 25 for index in range(FRAMES)])
    for result in results:
        (polyp,) = result.polyps
        truth = cv2.circle(np.zeros((HEIGHT, WIDTH), np.uint8), (80 + 4 * result.index, 120), 30, 255, -1)
        assert result.mask is not None
        assert result.probability is not None
        assert result.mask.shape == result.probability.shape == result.image.shape[:2] == (HEIGHT, WIDTH)
        assert iou(result.mask > 0, np.asarray(truth) > 0) > 0.9
        assert abs(polyp.box.x + polyp.box.width / 2 - (80 + 4 * result.index)) < 6
        assert (polyp.track_id, result.mask_index, result.signal, str(result.state)) == (
            1,
            result.index,
            True,
            "segmenting",
        )
        assert result.annotation_delay_ms == result.video_delay_ms > 0
        assert np.abs(result.image.astype(int) - disc_picture(result.index)).mean() < 4


def test_results_are_frozen_and_pictures_are_read_only(clip: Path, tiny_model_path: Path) -> None:
    """What a loop is given cannot be changed by accident; an overlay is a copy of one's own, and the mask is kept."""
    with rt_seg.stream(clip, engine=tiny_model_path, **plain) as results:
        result = next(results)
    with pytest.raises(FrozenInstanceError):
        result.index = 1  # type: ignore[misc]  # that it cannot be set is the point
    for array in (result.image, result.mask, result.probability):
        assert array is not None
        assert not array.flags.writeable
    assert result.mask is result.mask
    overlay = result.overlay("fill", 0.5)
    overlay[:] = 0
    assert result.image.any()
    assert (result.overlay("fill", 0.5) != result.image).any()
    assert (result.overlay("none") == result.image).all()


def test_probability_and_mask_agree(clip: Path, tiny_model_path: Path) -> None:
    """The mask is where the probability reaches the threshold, both of the frame's size, zero outside the region."""
    settings: dict[str, Any] = {**plain, "roi": "40,60,120,120"}
    with rt_seg.stream(clip, engine=tiny_model_path, threshold=0.6, **settings) as results:
        result = next(results)
    assert result.mask is not None
    assert result.probability is not None
    assert ((result.probability >= 153) == (result.mask > 0)).all()
    assert not result.probability[:, :40].any()
    assert result.mask.any()


def test_start_and_limit_choose_a_part(clip: Path, tiny_model_path: Path) -> None:
    """Settings mean what they mean on the command line; what is known of the source is there before the loop."""
    results = rt_seg.stream(str(clip), engine=str(tiny_model_path), start=0.4, limit=5, **plain)
    assert (results.source.width, results.source.frame_count, results.engine.backend) == (WIDTH, 5, "openvino")
    assert [round(result.pts_seconds * 25) for result in results] == [10, 11, 12, 13, 14]
    assert list(results) == []


def test_a_slow_loop_holds_a_file_back(clip: Path) -> None:
    """While a loop is busy with the first frame, only a few more are inferred; none is lost."""
    twentieth = threading.Event()
    engine = red_engine(lambda number: twentieth.set() if number == 20 else None)
    results = rt_seg.stream(clip, engine=engine, **plain)
    assert next(results).index == 0
    assert not twentieth.wait(0.7)
    assert [result.index for result in results] == list(range(1, FRAMES))
    assert results.dropped == {}
    assert twentieth.is_set()


def test_a_slow_loop_gets_the_newest_of_a_live_source(clip: Path) -> None:
    """A live source is not held back: what the loop was too slow for is dropped and counted, the next one is new."""
    twentieth = threading.Event()
    engine = red_engine(lambda number: twentieth.set() if number == 20 else None)
    results = rt_seg.stream(clip, engine=engine, live=True, **plain)
    first = next(results)
    assert twentieth.wait(20)
    second = next(results)
    assert second.index > 10
    lost = results.dropped
    assert lost["loop"] + lost.get("infer", 0) >= second.index - first.index - 1
    assert second.annotation_delay_ms == second.video_delay_ms
    results.close()


def test_passthrough_gives_frames_with_the_newest_mask(clip: Path) -> None:
    """Frames come before their own mask: what they carry is of an earlier frame, or nothing yet."""
    first_answer = threading.Event()
    engine = red_engine(lambda number: first_answer.wait(20) if number == 1 else None)
    with rt_seg.stream(clip, engine=engine, live=True, display="passthrough", max_staleness=5000.0, **plain) as results:
        first = next(results)
        first_answer.set()
        later = [result for result in results if result.mask is not None]
    assert (first.mask, first.probability, first.polyps, first.annotation_delay_ms) == (None, None, (), None)
    assert str(first.state) == "starting"
    assert later
    for result in later:
        assert result.mask_index is not None
        assert result.mask_index <= result.index
        assert result.annotation_delay_ms is not None
        assert result.annotation_delay_ms >= result.video_delay_ms


def leave_by_break(clip: Path) -> None:
    """Nothing holds the stream after the loop."""
    for result in rt_seg.stream(clip, engine=red_engine(), **plain):
        if result.index == 3:
            break


def leave_by_error(clip: Path) -> None:
    """The loop's own error passes."""
    with pytest.raises(ZeroDivisionError):
        sum(1 / (3 - result.index) for result in rt_seg.stream(clip, engine=red_engine(), **plain))


def leave_by_generator(clip: Path) -> None:
    """A generator around it is closed midway."""

    def indices() -> Generator[int]:
        for result in rt_seg.stream(clip, engine=red_engine(), **plain):
            yield result.index

    numbers = indices()
    assert next(numbers) == 0
    numbers.close()


def leave_by_forgetting(clip: Path) -> None:
    """Only the collector finds it, in a cycle."""
    results = rt_seg.stream(clip, engine=red_engine(), **plain)
    next(results)
    cycle: list[object] = [results]
    cycle.append(cycle)
    del results, cycle
    gc.collect()


def leave_by_with(clip: Path) -> None:
    """The block ends, though the stream is still held."""
    with rt_seg.stream(clip, engine=red_engine(), **plain) as results:
        next(results)
    assert list(results) == []


def leave_before_it_began(clip: Path) -> None:
    """Opened, never looked at, closed twice."""
    results = rt_seg.stream(clip, engine=red_engine(), **plain)
    results.close()
    results.close()
    assert list(results) == []


@pytest.mark.parametrize(
    "leave",
    [
        leave_by_break,
        leave_by_error,
        leave_by_generator,
        leave_by_forgetting,
        leave_by_with,
        leave_before_it_began,
    ],
)
def test_all_is_released_however_it_is_left(leave: Callable[[Path], None], clip: Path, open_files: OpenFiles) -> None:
    """Threads and files are gone at once when the loop is left early."""
    leave(clip)
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("rt-seg ")] == []
    assert not any("disc.mp4" in name for name in open_files())


def test_closing_from_another_thread_ends_a_loop_that_waits(clip: Path) -> None:
    """A loop that waits for an engine ends without an error when somebody else closes the stream."""
    called, answer = threading.Event(), threading.Event()

    def hold(_number: int) -> None:
        called.set()
        answer.wait(20)

    results = rt_seg.stream(clip, engine=red_engine(hold), **plain)
    seen: list[int] = []
    loop = threading.Thread(target=lambda: seen.extend(result.index for result in results))
    loop.start()
    assert called.wait(20)
    closing = threading.Thread(target=results.close)
    closing.start()
    answer.set()
    loop.join(20)
    closing.join(20)
    assert not loop.is_alive()
    assert seen == []


def test_an_engine_that_fails_is_an_error_in_the_loop(clip: Path) -> None:
    """The frames before it come first, then the engine's error is raised where the loop is."""

    def fail(number: int) -> None:
        if number == 6:
            raise EngineError("out of memory")

    seen: list[int] = []
    results = rt_seg.stream(clip, engine=red_engine(fail), **plain)
    with pytest.raises(EngineError, match="out of memory"):
        seen.extend(result.index for result in results)
    assert seen == [0, 1, 2, 3, 4]
    assert list(results) == []


def test_a_video_that_breaks_off_gives_what_it_has(write_clip: WriteClip, tmp_path: Path) -> None:
    """A cut file's frames come first, then the loop is told."""
    whole = write_clip(tmp_path / "whole.mkv", frames=60, width=WIDTH, height=HEIGHT)
    (tmp_path / "cut.mkv").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    seen: list[int] = []
    with pytest.raises(SourceInterrupted, match=r"cut\.mkv"):
        seen.extend(result.index for result in rt_seg.stream(tmp_path / "cut.mkv", engine=red_engine(), **plain))
    assert seen == list(range(len(seen)))
    assert len(seen) > 5


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"source": "missing.mp4"}, SourceError, "missing.mp4"),
        ({"source": Path("demo")}, SourceError, "/demo"),
        ({"roi": "0,0,9999,9"}, InputError, "roi"),
        ({"min_frames": "5/3"}, InputError, "min frames"),
        ({"display": "passthrough"}, InputError, "passthrough"),
        ({"engine": "missing.onnx"}, ModelError, "missing.onnx"),
        ({"duration": -1.0}, InputError, "duration"),
    ],
)
def test_what_cannot_be_opened_is_said_at_once(
    settings: dict[str, Any], error: type[Exception], message: str, clip: Path
) -> None:
    """The call itself raises, before any loop, and leaves nothing open; a path object is never the demo."""
    given: dict[str, Any] = {"source": clip, **settings}
    with pytest.raises(error, match=message):
        rt_seg.stream(**given)


def test_one_engine_serves_several_streams(clip: Path, tiny_model_path: Path) -> None:
    """An engine that was loaded stays its owner's: two streams in turn, two at once, then a call of one's own."""
    with load_engine(tiny_model_path) as engine:
        run = partial(rt_seg.stream, clip, engine=engine, limit=8, **plain)
        assert [len(list(run())), len(list(run()))] == [8, 8]
        pairs = [(one.index, other.index) for one, other in zip(run(), run(), strict=True)]
        assert pairs == [(index, index) for index in range(8)]
        assert engine.infer(np.zeros((1, 64, 64, 3), np.uint8)).shape == (1, 64, 64)


def test_a_lost_signal_is_seen_and_told(
    write_clip: WriteClip, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A live source that stays away gives black stand-ins without a mask meanwhile, and ends by an error."""
    data = write_clip(tmp_path / "clip.ts", frames=200, width=WIDTH, height=HEIGHT).read_bytes()
    asked: list[None] = []
    shown = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(None)
            if len(asked) > 1:
                self.send_error(404)
                return
            with contextlib.suppress(ConnectionError):
                self.send_response(200)
                self.send_header("Content-Type", "video/mp2t")
                self.end_headers()
                self.wfile.write(data)
                shown.wait(30)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # http.server's name
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/clip.ts"
        seen: list[rt_seg.FrameResult] = []
        results = rt_seg.stream(address, engine=red_engine(), reconnect=2, signal_timeout=1.0, **plain)
        seen.append(next(results))
        shown.set()  # the connection ends once a picture was seen
        with pytest.raises(SourceInterrupted, match="given up after 2 attempts"):
            seen.extend(results)
        server.shutdown()
    assert results.source.live
    lost = [result for result in seen if not result.signal]
    assert lost
    assert seen[0].image.any()
    for result in lost:
        assert (result.mask, str(result.state), bool(result.image.any())) == (None, "no signal", False)
    assert "no signal" in caplog.text


def test_settings_are_those_of_the_command() -> None:
    """Each keyword is an option of `rt-seg stream` with the same default; only `display` differs, as documented."""
    keywords = dict(inspect.signature(rt_seg.stream).parameters)
    options = inspect.signature(command.stream).parameters
    del keywords["source"]
    assert keywords.keys() <= options.keys()
    differing = {name for name, item in keywords.items() if item.default != options[name].default}
    assert differing == {"display"}


def test_a_setting_that_does_nothing_is_logged(
    write_clip: WriteClip, tiny_model_path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What only a camera takes is said to be unused for a file."""
    clip = write_clip(tmp_path / "clip.mp4", frames=2)
    with rt_seg.stream(clip, engine=tiny_model_path, camera_fps=30.0):
        assert "--camera-fps is not used" in caplog.text
