"""The pipeline: every frame once and in order, one error path, one stop path, nothing left behind."""

import threading
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from rt_seg.engines.geometry import Box, Geometry
from rt_seg.errors import EngineError, OutputError, SourceInterrupted
from rt_seg.realtime import pipeline as pipeline_module
from rt_seg.realtime.channel import Policy
from rt_seg.realtime.frame import Frame, Prepared, Rendered, Segmentation, Showing, Span
from rt_seg.realtime.pipeline import Pipeline
from rt_seg.realtime.sources.source import SourceInfo

GEOMETRY = Geometry(4, 4, Box(0, 0, 4, 4), 4, 4)


class ListSource:
    """Delivers numbered frames; may fail, or wait for an event before a frame."""

    def __init__(
        self,
        frames: int | None,
        *,
        error: Exception | None = None,
        before: Callable[[int], object] = lambda _index: None,
    ) -> None:
        self.info = SourceInfo("list", "video", live=False, width=4, height=4)
        self.closed = threading.Event()
        self._frames = frames
        self._error = error
        self._before = before

    def __iter__(self) -> Iterator[Frame]:
        for index in count() if self._frames is None else range(self._frames):
            self._before(index)
            yield Frame(index, index / 25, 0, np.full((4, 4, 3), index % 256, np.uint8))
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        self.closed.set()


class ListSink:
    """Keeps the indices it is given; may fail at one of them."""

    path: Path | None = None
    notes: tuple[str, ...] = ()

    def __init__(
        self, name: str = "record", *, fail_at: int | None = None, on_write: Callable[[int], object] | None = None
    ) -> None:
        self.name = name
        self.indices: list[int] = []
        self.closed = 0
        self._fail_at = fail_at
        self._on_write = on_write

    def write(self, rendered: Rendered) -> None:
        if rendered.frame.index == self._fail_at:
            raise OutputError("disk full")
        self.indices.append(rendered.frame.index)
        if self._on_write is not None:
            self._on_write(rendered.frame.index)

    def close(self) -> None:
        self.closed += 1


def prepare(frame: Frame) -> Prepared:
    """Pass the picture on as it is."""
    return Prepared(frame, frame.image, GEOMETRY, {"preprocess": Span(0, 1)})


def segment(prepared: Prepared) -> Segmentation:
    """See no polyp."""
    return Segmentation(
        prepared.frame, prepared.tensor[..., 0], GEOMETRY, 128, (), {**prepared.spans, "infer": Span(0, 1)}
    )


def render(showing: Showing) -> Rendered:
    """Draw nothing."""
    spans = {**showing.spans, "overlay": Span(0, 1)}
    return Rendered(showing.frame, showing.frame.image, showing.segmentation, spans, 1, signal=showing.signal)


def run(pipeline: Pipeline) -> None:
    """Run to the end; fails instead of hanging."""
    with pipeline:
        assert pipeline.wait(20), "the pipeline did not end"


@pytest.fixture(autouse=True)
def no_thread_stays(request: pytest.FixtureRequest) -> Iterator[None]:
    """After each test every thread of a pipeline has ended."""
    yield
    for thread in threading.enumerate():
        if thread.name.startswith("rt-seg"):
            thread.join(10)
            assert not thread.is_alive(), f"{thread.name} was left behind by {request.node.name}"


@pytest.mark.parametrize("parallel_calls", [1, 2, 4])
def test_every_frame_reaches_every_sink_once_and_in_order(parallel_calls: int) -> None:
    """With EVERY all frames arrive at all sinks in order, for any number of inferences in flight."""
    source, sinks = ListSource(200), [ListSink("record"), ListSink("results")]
    pipeline = Pipeline(source, prepare, segment, render, sinks, parallel_calls=parallel_calls)
    run(pipeline)
    assert pipeline.error is None
    assert [sink.indices for sink in sinks] == [list(range(200))] * 2
    assert [sink.closed for sink in sinks] == [1, 1]
    assert (pipeline.frames_in, pipeline.frames_out, pipeline.dropped) == (200, 200, {})
    assert source.closed.is_set()


def test_order_is_restored_when_a_later_frame_is_ready_first() -> None:
    """Frame 0, held back until frame 1 is segmented, still comes out first."""
    second_done = threading.Event()
    finished: list[int] = []

    def segment_out_of_order(prepared: Prepared) -> Segmentation:
        if prepared.frame.index == 0:
            assert second_done.wait(10)
        finished.append(prepared.frame.index)
        if prepared.frame.index == 1:
            second_done.set()
        return segment(prepared)

    sink = ListSink()
    run(Pipeline(ListSource(2), prepare, segment_out_of_order, render, [sink], parallel_calls=2))
    assert finished == [1, 0]
    assert sink.indices == [0, 1]


@pytest.mark.parametrize(("policy", "thread"), [(Policy.EVERY, "rt-seg capture"), (Policy.LATEST, "rt-seg infer-0")])
def test_a_files_frame_is_prepared_where_it_was_read(policy: Policy, thread: str) -> None:
    """While its pixels are in the cache; a live one's only when somebody is free to infer, for it may be dropped."""
    names: set[str] = set()

    def note_and_prepare(frame: Frame) -> Prepared:
        names.add(threading.current_thread().name)
        return prepare(frame)

    pipeline = Pipeline(ListSource(3), note_and_prepare, segment, render, [ListSink()], policy=policy)
    run(pipeline)
    assert pipeline.error is None
    assert names == {thread}


def test_a_source_that_breaks_off_delivers_what_it_had() -> None:
    """Frames before a source's error are written, the error is kept, every sink is closed."""
    sink, error = ListSink(), SourceInterrupted("breaks off at 1.2 s")
    pipeline = Pipeline(ListSource(30, error=error), prepare, segment, render, [sink], parallel_calls=2)
    run(pipeline)
    assert pipeline.error is error
    assert sink.indices == list(range(30))
    assert sink.closed == 1


@pytest.mark.parametrize("stage", ["prepare", "segment", "render"])
def test_a_stage_that_fails_stops_everything_behind_the_frames_before(stage: str) -> None:
    """An error in any stage at frame 7 leaves frames 0 to 6 written, all closed, and the error in `error`."""

    def failing(name: str, work: Callable[..., object]) -> Callable[..., object]:
        def call(item: Frame | Prepared | Showing) -> object:
            frame = item if isinstance(item, Frame) else item.frame
            if name == stage and frame.index == 7:
                raise EngineError(f"{name} failed")
            return work(item)

        return call

    source, sink = ListSource(None), ListSink()
    pipeline = Pipeline(
        source,
        failing("prepare", prepare),  # type: ignore[arg-type]  # the wrapper serves all three stages
        failing("segment", segment),  # type: ignore[arg-type]
        failing("render", render),  # type: ignore[arg-type]
        [sink],
        parallel_calls=2,
    )
    run(pipeline)
    assert str(pipeline.error) == f"{stage} failed"
    assert sink.indices == list(range(7))
    assert sink.closed == 1
    assert source.closed.wait(10)


def test_a_sink_that_fails_stops_the_stream_and_the_other_sink_is_closed() -> None:
    """A full disk under one sink ends an endless source, and the other sink is finalised."""
    bad, good = ListSink("record", fail_at=5), ListSink("results")
    source = ListSource(None)
    pipeline = Pipeline(source, prepare, segment, render, [bad, good])
    run(pipeline)
    assert str(pipeline.error) == "disk full"
    assert bad.indices == list(range(5))
    assert good.indices[:5] == list(range(5))
    assert (bad.closed, good.closed) == (1, 1)
    assert source.closed.wait(10)


@pytest.mark.parametrize("stage", ["prepare", "segment"])
def test_calls_still_running_when_a_sink_fails_are_waited_for(stage: str) -> None:
    """At the end nobody is in a call into a library: a process that ended around one would crash."""
    sink_closed, returned = threading.Event(), threading.Event()

    class TellingSink(ListSink):
        def close(self) -> None:
            super().close()
            sink_closed.set()

    def take_long(name: str, frame: Frame) -> None:
        if name == stage and frame.index > 5:
            sink_closed.wait(10)
            returned.wait(0.2)

    def slow_prepare(frame: Frame) -> Prepared:
        take_long("prepare", frame)
        return prepare(frame)

    def slow_segment(prepared: Prepared) -> Segmentation:
        take_long("segment", prepared.frame)
        return segment(prepared)

    pipeline = Pipeline(
        ListSource(None), slow_prepare, slow_segment, render, [TellingSink(fail_at=5)], parallel_calls=2
    )
    pipeline.start()
    deadline = time.monotonic() + 20
    while not pipeline.wait(0.05):
        assert time.monotonic() < deadline
    running = [thread.name for thread in threading.enumerate() if thread.name.startswith("rt-seg")]
    returned.set()
    assert running == []


def test_an_error_while_closing_a_sink_is_kept() -> None:
    """A recording whose end cannot be written is an error even though every frame was."""

    class FailingClose(ListSink):
        def close(self) -> None:
            raise OutputError("no room for the index")

    pipeline = Pipeline(ListSource(3), prepare, segment, render, [FailingClose()])
    run(pipeline)
    assert str(pipeline.error) == "no room for the index"


def test_an_error_while_closing_the_source_is_kept() -> None:
    """A source that cannot be released is an error after the last frame, not silence."""

    class FailingClose(ListSource):
        def close(self) -> None:
            raise SourceInterrupted("camera busy")

    sink = ListSink()
    pipeline = Pipeline(FailingClose(3), prepare, segment, render, [sink])
    run(pipeline)
    assert str(pipeline.error) == "camera busy"
    assert sink.indices == [0, 1, 2]


def test_stop_ends_like_the_end_of_the_source() -> None:
    """After stop every captured frame is still written, without an error."""
    reached = threading.Event()
    sink = ListSink(on_write=lambda index: reached.set() if index == 20 else None)
    pipeline = Pipeline(ListSource(None), prepare, segment, render, [sink], parallel_calls=2)
    with pipeline:
        assert reached.wait(10)
        pipeline.stop()
        assert pipeline.wait(10)
    assert pipeline.error is None
    assert pipeline.frames_in == pipeline.frames_out == len(sink.indices)
    assert sink.indices == list(range(len(sink.indices)))
    assert sink.closed == 1


def test_a_hung_source_is_left_behind_and_the_recording_finalised(monkeypatch: pytest.MonkeyPatch) -> None:
    """A source blocked in a read that never returns cannot keep the stream from ending; the error says so."""
    monkeypatch.setattr(pipeline_module, "GRACE_SECONDS", 0.5)
    release, blocked = threading.Event(), threading.Event()

    def before(index: int) -> None:
        if index == 10:
            blocked.set()
            release.wait(30)

    sink = ListSink()
    pipeline = Pipeline(ListSource(None, before=before), prepare, segment, render, [sink])
    with pipeline:
        assert blocked.wait(10)
        pipeline.stop()
        assert pipeline.wait(10)
    assert isinstance(pipeline.error, SourceInterrupted)
    assert sink.indices == list(range(10))
    assert sink.closed == 1
    release.set()


def test_a_hung_engine_is_left_behind_and_the_recording_finalised(monkeypatch: pytest.MonkeyPatch) -> None:
    """An inference that never returns cannot keep the stream from ending; frames before it are kept."""
    monkeypatch.setattr(pipeline_module, "GRACE_SECONDS", 0.5)
    release, blocked = threading.Event(), threading.Event()

    def hang(prepared: Prepared) -> Segmentation:
        if prepared.frame.index == 5:
            blocked.set()
            release.wait(30)
        return segment(prepared)

    sink = ListSink()
    pipeline = Pipeline(ListSource(None), prepare, hang, render, [sink], parallel_calls=2)
    with pipeline:
        assert blocked.wait(10)
        pipeline.stop()
        assert pipeline.wait(10)
    assert isinstance(pipeline.error, EngineError)
    assert sink.indices == list(range(5))
    assert sink.closed == 1
    release.set()


def test_a_hung_sink_is_named_and_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that never returns ends the wait all the same, and the error names the sink."""
    monkeypatch.setattr(pipeline_module, "GRACE_SECONDS", 0.5)
    release, blocked = threading.Event(), threading.Event()

    def hang(_index: int) -> None:
        blocked.set()
        release.wait(30)

    pipeline = Pipeline(ListSource(None), prepare, segment, render, [ListSink("record", on_write=hang)])
    with pipeline:
        assert blocked.wait(10)
        pipeline.stop()
        assert pipeline.wait(10)
    assert "record" in str(pipeline.error)
    release.set()


def test_a_live_source_loses_old_frames_and_counts_them() -> None:
    """With LATEST a source faster than the engine loses frames, none twice, and in = out + dropped."""
    captured_all, first_taken = threading.Event(), threading.Event()

    def before(index: int) -> None:
        if index == 1:
            assert first_taken.wait(10)

    def slow(prepared: Prepared) -> Segmentation:
        first_taken.set()
        assert captured_all.wait(10)
        return segment(prepared)

    class Burst(ListSource):
        def close(self) -> None:
            captured_all.set()

    sink = ListSink()
    pipeline = Pipeline(Burst(50, before=before), prepare, slow, render, [sink], policy=Policy.LATEST)
    run(pipeline)
    assert sink.indices == [0, 49]
    assert pipeline.frames_in == pipeline.frames_out + pipeline.dropped["infer"] == 50


def test_a_recording_too_slow_for_a_live_source_counts_what_it_lost() -> None:
    """With LATEST a slow sink loses frames by its own name while the others get all."""
    fast_done, blocked = threading.Event(), threading.Event()

    def wait_at_first(index: int) -> None:
        if index == 0:
            blocked.set()
            assert fast_done.wait(10)

    slow = ListSink("record", on_write=wait_at_first)
    fast = ListSink("show", on_write=lambda index: fast_done.set() if index == 29 else None)
    written = [threading.Event() for _ in range(31)]
    fast_write = fast.write

    def write_and_tell(rendered: Rendered) -> None:
        fast_write(rendered)
        written[rendered.frame.index].set()

    fast.write = write_and_tell  # type: ignore[method-assign]  # a spy

    def before(index: int) -> None:
        # one frame at a time through the fast sink, so that only the slow one can lose any
        assert blocked.wait(10) if index == 1 else True
        assert written[index - 1].wait(10) if index else True

    pipeline = Pipeline(ListSource(30, before=before), prepare, segment, render, [slow, fast], policy=Policy.LATEST)
    run(pipeline)
    assert fast.indices == list(range(30))
    assert pipeline.dropped == {"record": 30 - len(slow.indices)}
    assert len(slow.indices) < 30


def test_stage_times_and_delays_are_counted_for_each_frame() -> None:
    """Every stage and both delays hold as many samples as frames came out."""
    pipeline = Pipeline(ListSource(25), prepare, segment, render, [ListSink()])
    run(pipeline)
    statistics = pipeline.statistics
    assert {name: stage.percentiles().count for name, stage in statistics.stages.items()} == dict.fromkeys(
        ("capture", "preprocess", "infer", "overlay", "record"), 25
    )
    assert statistics.video_delay.percentiles().count == statistics.annotation_delay.percentiles().count == 25


def test_it_runs_without_a_sink() -> None:
    """A stream that nobody records or shows still counts its frames and delays."""
    pipeline = Pipeline(ListSource(5), prepare, segment, render, [])
    run(pipeline)
    assert pipeline.frames_out == 5
    assert pipeline.statistics.video_delay.percentiles().count == 5
