"""`Show`: the threads between crew and outlets. They refine what was inferred, render each frame and hand it over.

With *aligned* one thread follows the promises and shows each frame with its own segmentation. With *passthrough* that
thread keeps the newest segmentation, and a second one follows the frames and shows each at once with what there is;
nothing on that way waits for the engine.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError

from rt_seg.errors import EngineError, SourceInterrupted

from .channel import Channel, ChannelClosed, Policy
from .crew import Captured, Promise
from .frame import Rendered, Segmentation, Showing
from .live import Observation
from .outlet import Outlet
from .statistics import Statistics

_LOOK_SECONDS = 0.25  # a loss of the signal is told within it also where no promise follows


class Show:
    """Shows frames until their channels end. The methods are thread-safe.

    Args:
        frames: Where a frame goes, with passthrough, once it was handed over: to the crew.
        promised: What the crew works on, in the order of the frames.
        render: Draws; called by one thread.
        refine: Works on the segmentations in their order; called by one thread.
        outlets: Where pictures go; told the end by closing their channels.
        statistics: Where shown pictures are counted.
        observation: Told what was shown, and when all is refined.
        policy: EVERY: the first error ends it; LATEST: a frame whose inference failed goes without a mask.
        passthrough: Whether frames are shown at once; only with LATEST.
        measures: Whether delays are counted here where there is no outlet.
        on_broken: Told what ended it, if not the end of the source.
    """

    def __init__(
        self,
        frames: Channel[Captured],
        promised: Channel[Promise],
        render: Callable[[Showing], Rendered],
        refine: Callable[[Segmentation], Segmentation],
        outlets: Sequence[Outlet],
        statistics: Statistics,
        observation: Observation,
        *,
        policy: Policy,
        passthrough: bool,
        measures: bool,
        on_broken: Callable[[BaseException], None],
    ) -> None:
        self._frames = frames
        self._promised = promised
        self._render = render
        self._refine = refine
        self._outlets = outlets
        self._statistics = statistics
        self._observation = observation
        self._live = policy is Policy.LATEST
        self._passthrough = passthrough
        self._measures = measures
        self._on_broken = on_broken
        self._newest: Segmentation | None = None
        self._lost_ns: int | None = None
        self.display: Channel[Showing] = Channel(2, policy)
        self.threads = [self._thread("show", self._run_display)] if passthrough else []
        self.threads.append(self._thread("follow" if passthrough else "show", self._run_promises))

    @staticmethod
    def _thread(name: str, target: Callable[[], None]) -> threading.Thread:
        return threading.Thread(target=target, name=f"rt-seg {name}", daemon=True)

    def forget(self) -> None:
        """Draw no mask of what was seen so far, and have it said that it is over: the signal is lost."""
        self._newest = None
        self._lost_ns = time.perf_counter_ns()

    def _run_promises(self) -> None:
        """Follow the promises: show each frame (aligned), or keep the newest segmentation (passthrough)."""
        error: BaseException | None = None
        try:
            for promise in self._promises():
                segmentation = self._outcome(promise)
                if self._passthrough:
                    self._newest = segmentation or self._newest
                else:
                    spans = promise.spans if segmentation is None else segmentation.spans
                    self._show(Showing(promise.frame, segmentation, promise.answer is not None, spans))
        except ChannelClosed:
            pass
        except CancelledError:
            if not self._live:
                error = EngineError("the engine did not answer in time when asked to stop; its last frames are missing")
        except BaseException as exc:  # noqa: BLE001 - whatever it is, it travels to the caller
            error = exc
        self._promised.cancel()
        self._observation.on_seen_last()
        if not self._passthrough:
            self._end(error)
        elif error is not None and not isinstance(error, SourceInterrupted):
            self._on_broken(error)
            self.display.cancel()

    def _promises(self) -> Iterator[Promise]:
        """The promises in their order; between those from before a loss of the signal and later ones it is told."""
        while True:
            try:
                promise = self._promised.get(_LOOK_SECONDS)
            except TimeoutError:
                self._tell_loss(time.perf_counter_ns())
                continue
            self._tell_loss(promise.frame.captured_ns)
            yield promise

    def _tell_loss(self, now_ns: int) -> None:
        if self._lost_ns is not None and now_ns > self._lost_ns:
            self._lost_ns = None
            self._observation.on_seen_last()

    def _outcome(self, promise: Promise) -> Segmentation | None:
        """The refined segmentation of a frame; None where there is none, and that is no reason to end."""
        if promise.answer is None:
            return None
        try:
            segmentation = promise.answer.result()
        except CancelledError:
            raise
        except BaseException:
            if not self._live:
                raise
            self._observation.on_passed_over(promise.frame.pts_seconds)
            return None
        return self._refine(segmentation)

    def _run_display(self) -> None:
        """Follow the frames (passthrough): show each with the newest segmentation there is, then have it inferred."""
        error: BaseException | None = None
        try:
            for showing in self.display:
                newest = self._newest if showing.signal else None
                self._show(Showing(showing.frame, newest, showing.signal, showing.spans))
                if showing.signal:
                    self._frames.put((showing.frame, showing.spans["capture"]))
        except ChannelClosed:
            pass
        except BaseException as exc:  # noqa: BLE001 - whatever it is, it travels to the caller
            error = exc
        self.display.cancel()
        self._frames.close(error)
        self._end(error)

    def _show(self, showing: Showing) -> None:
        rendered = self._render(showing)
        for outlet in self._outlets:
            outlet.put(rendered)
        if not self._outlets and self._measures:
            self._statistics.count_handed_over(rendered)
        self._statistics.count_shown(rendered)
        self._observation.on_shown(rendered)

    def _end(self, error: BaseException | None) -> None:
        if error is not None:
            self._on_broken(error)
        for outlet in self._outlets:
            outlet.channel.close()
