"""Live streams whose engine or sinks fail: the picture goes on without an old mask, and the failure is said."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from rt_seg.engines.engine import CallableEngine
from rt_seg.engines.geometry import Box, Geometry
from rt_seg.engines.spec import ModelSpec
from rt_seg.errors import EngineError, InputError, OutputError
from rt_seg.realtime import outlet as outlet_module
from rt_seg.realtime import pipeline as pipeline_module
from rt_seg.realtime.backoff import Backoff
from rt_seg.realtime.channel import Policy
from rt_seg.realtime.crew import EngineCare
from rt_seg.realtime.frame import Frame, Polyp, Prepared, Rendered, Segmentation, Showing, Span
from rt_seg.realtime.live import Display, Live, Observation
from rt_seg.realtime.outlet import Output
from rt_seg.realtime.pipeline import Pipeline
from rt_seg.realtime.refine import Refine
from rt_seg.realtime.report import Report
from rt_seg.realtime.scribe import Journal
from rt_seg.realtime.segment import Segment
from rt_seg.realtime.sightings import Sighting, SightingTracker
from rt_seg.realtime.sinks.sink import Sink
from rt_seg.realtime.sources.source import SourceInfo
from rt_seg.realtime.stabilise import Stabiliser
from rt_seg.realtime.state import Status
from rt_seg.realtime.upkeep import Upkeep

pytestmark = pytest.mark.slow  # most of them run a whole process or stream

GEOMETRY = Geometry(8, 8, Box(0, 0, 8, 8), 8, 8)
POLYP = Polyp(Box(1, 1, 4, 4), 16, 0.25, 0.9)
BOTH = pytest.mark.parametrize("display", ["aligned", "passthrough"])


class Camera:
    """Delivers numbered frames, each once the test's sink has seen the one before (or at once), until it is enough."""

    def __init__(self, *, frames: int | None = None) -> None:
        self.info = SourceInfo("camera 0", "camera", live=True, width=8, height=8, endless=True)
        self.closed = threading.Event()
        self.enough = threading.Event()
        self.seen = threading.Semaphore(1)
        self._frames = frames

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        while not self.enough.is_set() and (self._frames is None or index < self._frames):
            self.seen.acquire(timeout=0.2)
            yield Frame(index, index / 25, time.perf_counter_ns(), np.full((8, 8, 3), index % 200, np.uint8))
            index += 1

    def close(self) -> None:
        self.closed.set()


class Screen:
    """A sink that keeps what it is given, lets the camera go on, and tells when something it waits for came."""

    path: Path | None = None
    notes: tuple[str, ...] = ()

    def __init__(self, camera: Camera, name: str = "show") -> None:
        self.name = name
        self.shown: list[Rendered] = []
        self._camera = camera
        self._came = threading.Condition()

    def write(self, rendered: Rendered) -> None:
        with self._came:
            self.shown.append(rendered)
            self._came.notify_all()
        self._camera.seen.release()

    def close(self) -> None:
        """Nothing is left to do."""

    def wait_for(self, condition: Callable[[list[Rendered]], bool]) -> None:
        with self._came:
            assert self._came.wait_for(lambda: condition(self.shown), 30), "it did not come"


class Notes(Observation):
    """Keeps what the pipeline tells of engine and sinks."""

    def __init__(self) -> None:
        self.engine: list[str | None] = []
        self.outputs: list[tuple[str, str]] = []

    def on_engine(self, error: EngineError | None) -> None:
        self.engine.append(None if error is None else str(error))

    def on_output(self, name: str, error: BaseException) -> None:
        self.outputs.append((name, str(error)))


def prepare(frame: Frame) -> Prepared:
    """Pass the picture on as it is."""
    return Prepared(frame, frame.image, GEOMETRY, {"preprocess": Span(0, 1)})


def segment(prepared: Prepared) -> Segmentation:
    """See one polyp."""
    return Segmentation(prepared.frame, prepared.tensor[..., 0], GEOMETRY, 128, (POLYP,), {})


def render(showing: Showing) -> Rendered:
    """Draw nothing."""
    return Rendered(showing.frame, showing.frame.image, showing.segmentation, {}, 1, signal=showing.signal)


def masked(shown: list[Rendered]) -> list[bool]:
    """Whether each picture carries a mask."""
    return [rendered.segmentation is not None for rendered in shown]


def live(display: Display = "passthrough", **care: object) -> Live:
    """A live stream whose engine is tried again at once."""
    settings: dict[str, Any] = {"backoff": lambda: Backoff(0.01, 0.01), **care}
    return Live(display, Upkeep(None, 30.0), EngineCare(**settings))


@pytest.fixture(autouse=True)
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """What hangs on purpose is given up soon."""
    monkeypatch.setattr(pipeline_module, "GRACE_SECONDS", 0.3)


def run(camera: Camera, screen: Screen, work: Callable[[Prepared], Segmentation], until: Callable[[], None],
        *, sinks: Sequence[Sink | Output] | None = None, **pipeline: Any) -> tuple[Pipeline, Notes]:  # fmt: skip
    """Run a live stream until the function returns, then end it like a user."""
    notes = Notes()
    made = Pipeline(
        camera, prepare, work, render, sinks or [screen], policy=Policy.LATEST, observation=notes, **pipeline
    )
    with made:
        until()
        camera.enough.set()
        made.stop()
        assert made.wait(20)
    return made, notes


def test_a_picture_that_waits_for_no_mask_is_handed_over_before_inference_begins() -> None:
    """With passthrough each frame is rendered and given to the sinks before anybody prepares it."""
    camera = Camera()
    screen, order = Screen(camera), list[tuple[str, int]]()

    def prepared(frame: Frame) -> Prepared:
        order.append(("prepare", frame.index))
        return prepare(frame)

    def rendered(showing: Showing) -> Rendered:
        order.append(("render", showing.frame.index))
        return render(showing)

    with Pipeline(camera, prepared, segment, rendered, [screen], policy=Policy.LATEST, live=live()) as pipeline:
        screen.wait_for(lambda shown: len(shown) > 20 and shown[-1].segmentation is not None)
        camera.enough.set()
        pipeline.stop()
        assert pipeline.wait(20)
    inferred = [index for what, index in order if what == "prepare"]
    assert len(inferred) > 5
    assert all(order.index(("render", index)) < order.index(("prepare", index)) for index in inferred)
    assert not pipeline.dropped.keys() - {"infer", "show"}


@BOTH
def test_an_engine_that_fails_once_is_started_again(display: Display) -> None:
    """Pictures go on without a mask, the engine is made anew, masks come back; the error is kept for the exit code."""
    camera, restarts, fails = Camera(), [0], [True]
    screen = Screen(camera)

    def work(prepared: Prepared) -> Segmentation:
        if prepared.frame.index >= 5 and fails[0]:
            raise EngineError("the device is lost")
        return segment(prepared)

    def restart() -> Callable[[], None]:
        restarts[0] += 1
        fails[0] = False
        return lambda: None

    def until() -> None:
        # not the mask of a frame before the failure, which passthrough still shows
        screen.wait_for(lambda shown: any(item.segmentation is not None and item.segmentation.frame.index >= 5
                                          for item in shown[-1:]) and len(shown) > 10)  # fmt: skip

    pipeline, notes = run(camera, screen, work, until, live=live(display, restart=restart))
    assert notes.engine == ["the device is lost", None]
    assert str(pipeline.error) == "the device is lost"
    assert not pipeline.broken_off
    assert pipeline.status.engine
    assert pipeline.statistics.engine_failures == restarts[0] == 1
    if display == "aligned":
        assert False in masked(screen.shown[4:])


@BOTH
def test_an_engine_that_fails_for_ever_never_stops_the_picture(display: Display) -> None:
    """Fifty pictures later it is still tried again, with no mask shown; a start alone is not told as its return."""
    camera = Camera()
    screen = Screen(camera)
    restarts = threading.Semaphore(0)

    def work(_prepared: Prepared) -> Segmentation:
        raise EngineError("the device is lost")

    def restart() -> Callable[[], None]:
        restarts.release()
        return lambda: None

    def until() -> None:
        screen.wait_for(lambda shown: len(shown) > 50)
        for _ in range(3):
            assert restarts.acquire(timeout=20)

    pipeline, notes = run(camera, screen, work, until, live=live(display, restart=restart))
    assert not any(masked(screen.shown))
    assert notes.engine[:3] == ["the device is lost"] * 3
    assert isinstance(pipeline.error, EngineError)


@BOTH
def test_a_foreign_error_of_the_engine_is_handled_like_its_own(display: Display) -> None:
    """A RuntimeError out of a driver does not end the stream, and comes out as one line of ours."""
    camera = Camera()
    screen = Screen(camera)

    def work(_prepared: Prepared) -> Segmentation:
        raise RuntimeError("CUDA error 700")

    pipeline, _ = run(camera, screen, work, lambda: screen.wait_for(lambda shown: len(shown) > 20), live=live(display))
    assert isinstance(pipeline.error, EngineError)
    assert "CUDA error 700" in str(pipeline.error)


@BOTH
def test_an_engine_that_hangs_is_left_behind_and_replaced(display: Display) -> None:
    """A call that does not return is given up, pictures go on, a new thread and engine take over."""
    camera, release, restarted = Camera(), threading.Event(), threading.Event()
    screen = Screen(camera)

    def work(prepared: Prepared) -> Segmentation:
        if prepared.frame.index >= 3 and not restarted.is_set():
            release.wait(30)
        return segment(prepared)

    def restart() -> Callable[[], None]:
        restarted.set()
        return lambda: None

    def until() -> None:
        screen.wait_for(lambda shown: restarted.is_set() and shown[-1].segmentation is not None
                        and shown[-1].segmentation.frame.index > 5)  # fmt: skip

    care = live(display, restart=restart, seconds=0.2, first_seconds=0.2)
    pipeline, notes = run(camera, screen, work, until, live=care, parallel_calls=2)
    assert pipeline.left_behind
    release.set()
    assert "did not answer within 0.2 s" in str(notes.engine[0])
    assert not pipeline.broken_off


def test_an_engine_that_hangs_for_ever_does_not_keep_the_stream_from_ending() -> None:
    """With every inference hung, pictures go on and the end comes when asked for."""
    camera, release, inside = Camera(), threading.Event(), threading.Event()
    screen = Screen(camera)

    def work(_prepared: Prepared) -> Segmentation:
        inside.set()
        release.wait(30)
        raise EngineError("late")

    def until() -> None:
        assert inside.wait(20)
        screen.wait_for(lambda shown: len(shown) > 30)

    pipeline, _ = run(camera, screen, work, until, live=live())
    assert not any(masked(screen.shown))
    assert pipeline.left_behind
    release.set()


@pytest.mark.parametrize("wrong", ["shape", "dtype"])
def test_a_wrong_answer_of_the_engine_is_an_engine_error(wrong: str) -> None:
    """An answer outside the contract is one line that says what came, and no mask."""

    class Wrong(CallableEngine):
        def infer(self, frames: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
            return np.zeros((1, 3, 3), np.uint8) if wrong == "shape" else np.zeros(frames.shape[:3], np.float32)

    camera = Camera()
    screen = Screen(camera)
    engine = Wrong(lambda frames: frames[..., 0], ModelSpec(name="wrong", width=8, height=8))
    pipeline, _ = run(
        camera, screen, Segment(engine), lambda: screen.wait_for(lambda shown: len(shown) > 20), live=live()
    )
    assert not any(masked(screen.shown))
    assert "the engine returned" in str(pipeline.error)


def test_a_segment_is_restarted_with_a_new_engine() -> None:
    """The new engine answers, the old one is released by what is returned."""
    spec = ModelSpec(name="tiny", width=8, height=8)
    engines = [CallableEngine(lambda frames: frames[..., 0], spec) for _ in range(2)]
    work = Segment(engines[0], reload=lambda: engines[1])
    work.restart()()
    frame = Frame(0, 0.0, 0, np.zeros((8, 8, 3), np.uint8))
    assert work(prepare(frame)).polyps == ()
    with pytest.raises(EngineError, match="closed"):
        engines[0].infer(frame.image[None])
    with pytest.raises(EngineError, match="no way to load"):
        Segment(engines[0]).restart()


def test_slow_inference_does_not_delay_the_picture() -> None:
    """With passthrough, a hundred pictures are shown while one inference is held back."""
    camera, hold, inside = Camera(), threading.Event(), threading.Event()
    screen = Screen(camera)

    def work(prepared: Prepared) -> Segmentation:
        inside.set()
        hold.wait(30)
        return segment(prepared)

    def until() -> None:
        assert inside.wait(20)
        screen.wait_for(lambda shown: len(shown) > 100)
        assert not any(masked(screen.shown))
        hold.set()
        screen.wait_for(lambda shown: masked(shown)[-1])

    pipeline, _ = run(camera, screen, work, until, live=live(seconds=60.0, first_seconds=60.0))
    assert [one.frame.index for one in screen.shown] == sorted(one.frame.index for one in screen.shown)
    assert pipeline.dropped["infer"] > 50
    assert pipeline.frames_in == pipeline.frames_out + pipeline.dropped.get("show", 0)


def test_aligned_shows_each_frame_with_its_own_mask() -> None:
    """The mask of every shown frame was computed on that frame."""
    camera = Camera()
    screen = Screen(camera)
    run(camera, screen, segment, lambda: screen.wait_for(lambda shown: len(shown) > 40), live=live("aligned"))
    assert all(one.segmentation is not None and one.segmentation.frame is one.frame for one in screen.shown)


class Disk:
    """A recording that fails at its third picture, as often as it is told."""

    notes: tuple[str, ...] = ()

    def __init__(self, path: Path) -> None:
        self.name = "record"
        self.path: Path | None = path
        self.written = 0
        self.closed = 0

    def write(self, rendered: Rendered) -> None:
        del rendered
        if self.written == 2:
            raise OutputError(f"{self.path}: the disk is full")
        assert self.path is not None
        self.path.write_text("a picture")
        self.written += 1

    def close(self) -> None:
        self.closed += 1


def test_a_full_disk_stops_the_recording_and_not_the_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The recording is closed, said to be stopped, and begun again under a new name; losses are counted by cause."""
    monkeypatch.setattr(outlet_module, "Backoff", lambda: Backoff(0.05, 0.05))
    camera = Camera()
    screen = Screen(camera)
    disks = [Disk(tmp_path / "out.mp4")]
    stopped: list[tuple[str, ...]] = []

    def remake() -> Disk:
        stopped.append(pipeline_status())
        disks.append(Disk(tmp_path / f"out-{len(disks) + 1}.mp4"))
        return disks[-1]

    def pipeline_status() -> tuple[str, ...]:
        return status.stopped

    status = Status()
    sinks: list[Sink | Output] = [screen, Output("record", disks[0], remake)]
    pipeline, notes = run(
        camera, screen, segment, lambda: screen.wait_for(lambda _shown: len(disks) > 2),
        live=live(), sinks=sinks, status=status,
    )  # fmt: skip
    assert stopped[0] == ("record",)
    assert notes.outputs[0] == ("record", f"{tmp_path}/out.mp4: the disk is full")
    assert all(disk.closed for disk in disks)
    assert pipeline.dropped["record stopped"] >= 2
    assert isinstance(pipeline.error, OutputError)
    assert not pipeline.broken_off
    assert list(pipeline.outlets[1].written)[:2] == [tmp_path / "out.mp4", tmp_path / "out-2.mp4"]


def test_what_is_lost_beside_the_sinks_is_among_the_losses() -> None:
    """By its own cause, and only where there is any: the events, too, are told of what the window was too slow for."""
    lost = {"window": 3, "events": 0}
    pipeline = Pipeline(Camera(), prepare, segment, render, [], policy=Policy.LATEST, lost_beside=lambda: lost)
    assert pipeline.dropped == {"window": 3}


def test_a_recording_that_hangs_is_said_to_be_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that does not return costs the recording, by name, and neither the picture nor the end."""
    monkeypatch.setattr(outlet_module, "_STUCK_SECONDS", 0.05)
    camera, release = Camera(), threading.Event()
    screen = Screen(camera)

    class Hung(Screen):
        def write(self, rendered: Rendered) -> None:
            del rendered
            release.wait(30)

    status = Status()
    pipeline, _ = run(
        camera, screen, segment, lambda: screen.wait_for(lambda shown: len(shown) > 20 and "record" in status.stopped),
        live=live(), sinks=[screen, Hung(camera, "record")], status=status,
    )  # fmt: skip
    assert "record did not finish in time" in str(pipeline.error)
    assert pipeline.dropped["record"] > 5
    release.set()


def test_a_recording_can_be_switched_off_and_on(tmp_path: Path) -> None:
    """Off closes the file, on begins another; nothing in between counts as lost."""
    camera, wanted = Camera(), [True]
    screen = Screen(camera)
    made: list[Disk] = []

    class Whole(Disk):
        def write(self, rendered: Rendered) -> None:
            self.written = 0
            super().write(rendered)

    def remake() -> Disk:
        made.append(Whole(tmp_path / f"part{len(made)}.mp4"))
        return made[-1]

    def until() -> None:
        screen.wait_for(lambda _shown: len(made) == 1)
        wanted[0] = False
        screen.wait_for(lambda _shown: made[0].closed == 1)
        wanted[0] = True
        screen.wait_for(lambda _shown: len(made) == 2)

    pipeline, _ = run(
        camera, screen, segment, until,
        live=live(), sinks=[screen, Output("record", None, remake, lambda: wanted[0])],
    )  # fmt: skip
    assert "record stopped" not in pipeline.dropped
    assert pipeline.error is None
    assert len(pipeline.outlets[1].written) == 2


def test_a_first_frame_that_cannot_be_prepared_is_an_error_later_ones_are_not() -> None:
    """A region outside the frame is a wrong setting at the start; after a change of size it costs the mask only."""

    def bad_from(first: int) -> Callable[[Frame], Prepared]:
        def bad(frame: Frame) -> Prepared:
            if frame.index >= first:
                raise InputError("roi is not inside the frame")
            return prepare(frame)

        return bad

    camera = Camera(frames=3)
    pipeline = Pipeline(camera, bad_from(0), segment, render, [], policy=Policy.LATEST, live=live())
    with pipeline:
        assert pipeline.wait(20)
    assert pipeline.broken_off
    assert isinstance(pipeline.error, InputError)

    camera = Camera()
    screen = Screen(camera)
    pipeline = Pipeline(camera, bad_from(3), segment, render, [screen], policy=Policy.LATEST, live=live("aligned"))
    with pipeline:
        screen.wait_for(lambda shown: len(shown) > 20)
        camera.enough.set()
    assert not pipeline.broken_off
    assert not any(masked(screen.shown[-5:]))


@BOTH
def test_what_was_seen_ends_when_the_signal_is_lost(display: Display) -> None:
    """It is told while the signal is away, after all that was seen before was refined."""
    order: list[str] = []
    told, hold = threading.Event(), threading.Event()

    class Notes(Observation):
        def on_seen_last(self) -> None:
            order.append("lost")
            told.set()

    class Stalls(Camera):
        def __iter__(self) -> Iterator[Frame]:
            yield from (Frame(i, i / 25, time.perf_counter_ns(), np.full((8, 8, 3), 9, np.uint8)) for i in range(3))
            hold.wait(30)
            yield Frame(3, 3 / 25, time.perf_counter_ns(), np.full((8, 8, 3), 9, np.uint8))

    def refine(segmentation: Segmentation) -> Segmentation:
        order.append("seen")
        return segmentation

    camera = Stalls()
    screen = Screen(camera)
    pipeline = Pipeline(
        camera, prepare, segment, render, [screen], refine=refine, policy=Policy.LATEST,
        live=Live(display, Upkeep(None, 0.05), EngineCare()), observation=Notes(),
    )  # fmt: skip
    with pipeline:
        assert told.wait(30), "it was not told while the signal was away"
        assert order == ["seen"] * (len(order) - 1) + ["lost"]
        assert len(order) > 1
        hold.set()
        screen.wait_for(lambda shown: shown[-1].frame.index >= 3 and shown[-1].signal)


@BOTH
def test_a_sighting_ends_while_the_engine_is_away(display: Display) -> None:
    """It was not seen for longer than the gap by stream time: it is over, and told, although the stream goes on."""
    ended: list[Sighting] = []
    over = threading.Event()

    def on_ended(sightings: tuple[Sighting, ...]) -> None:
        ended.extend(sightings)
        over.set()

    def work(prepared: Prepared) -> Segmentation:
        if prepared.frame.index > 3:
            raise EngineError("lost")
        return segment(prepared)

    refine = Refine(Stabiliser("off"), SightingTracker((1, 1)), on_ended=on_ended)
    camera = Camera()
    screen = Screen(camera)
    pipeline = Pipeline(
        camera, prepare, work, render, [screen], refine=refine, policy=Policy.LATEST, live=live(display),
        observation=Report(Status(), Journal(Policy.LATEST, None), refine),
    )  # fmt: skip
    with pipeline:
        assert over.wait(30), "it was not told while the stream went on"
        camera.enough.set()
    assert [sighting.id for sighting in ended] == [1]
    assert ended[0].last_seconds <= 3 / 25


@BOTH
def test_nothing_is_inferred_on_a_missing_picture(display: Display) -> None:
    """Stand-in pictures reach the sinks without a mask, marked, and the engine never sees them."""
    seen: list[bool] = []
    hold = threading.Event()

    class Stalls(Camera):
        def __iter__(self) -> Iterator[Frame]:
            yield from (Frame(i, i / 25, time.perf_counter_ns(), np.full((8, 8, 3), 9, np.uint8)) for i in range(3))
            hold.wait(30)

    def work(prepared: Prepared) -> Segmentation:
        seen.append(bool(prepared.tensor.any()))
        return segment(prepared)

    camera = Stalls()
    screen = Screen(camera)
    stream = Live(display, Upkeep(None, 0.05), EngineCare())
    pipeline, _ = run(
        camera, screen, work, lambda: screen.wait_for(lambda shown: sum(not one.signal for one in shown) >= 3),
        live=stream,
    )  # fmt: skip
    hold.set()
    assert all(seen)
    assert all(one.segmentation is None for one in screen.shown if not one.signal)
    assert pipeline.statistics.stand_ins >= 3
    assert pipeline.statistics.signal_losses == 1
    assert pipeline.frames_out <= 3
