"""`Crew`: the workers that prepare and infer, and with a live source the care for an engine that fails.

A worker takes a frame, prepares it if nobody has, and queues a promise of its segmentation while it holds a lock, then
infers without the lock: so several inferences are in flight, the promises stand in the order of the frames, and of a
live source the newest frame is taken only when somebody is free to work on it.

With a file, an error is the promise's outcome, and whoever waits for it ends the stream. With a live source the engine
is then taken out of service: promises fail at once without a call, until a thread of its own has made a new engine,
after waits that grow. A call that takes too long counts as failed: its promise fails, its thread is left behind, and
another takes its place.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field

from rt_seg.errors import EngineError

from .backoff import Backoff
from .channel import Channel, ChannelClosed
from .frame import Frame, Prepared, Segmentation, Span
from .signals import give_way

ENGINE_SECONDS = 2.0
"""How long an inference of a live source may take before it counts as hung."""

_FIRST_SECONDS = 20.0  # the same for an engine's first answer: some prepare kernels with it
_LOOK_SECONDS = 0.1
_STEADY_SECONDS = 10.0  # an engine that works so long ends the counting of attempts
_MOST_LEFT_BEHIND = 16  # hung threads; beyond it no engine is tried again
INFERENCE_NICENESS = 2
"""By how much inference gives way to a picture that does not wait for it."""


Captured = tuple[Frame, Span] | Prepared
"""What the crew takes: a frame and when it was captured, or one that was prepared already."""


@dataclass(frozen=True, slots=True)
class EngineCare:
    """How an engine is kept up.

    Attributes:
        restart: Makes a new engine, puts it in the old one's place and returns what releases the old one, which may
            hang; None where there is no other.
        seconds: How long an inference may take.
        first_seconds: How long a new engine's first one may take.
        backoff: The waits between attempts.
    """

    restart: Callable[[], Callable[[], None]] | None = None
    seconds: float = ENGINE_SECONDS
    first_seconds: float = _FIRST_SECONDS
    backoff: Callable[[], Backoff] = Backoff


class Unavailable(EngineError):  # noqa: N818 - the tree says that it is an error
    """Nothing was inferred, because the engine is out of service."""


@dataclass(slots=True, eq=False)
class Promise:
    """A frame and the segmentation that somebody works on.

    Attributes:
        frame: The frame, or a stand-in picture.
        answer: Resolves to its segmentation, or to what went wrong. None for a stand-in: nothing is inferred on it.
        spans: When each stage so far worked on it.
        since: `time.monotonic` when its inference began; None before.
        worker: The thread that infers.
    """

    frame: Frame
    answer: "Future[Segmentation] | None"
    spans: dict[str, Span] = field(default_factory=dict[str, Span])
    since: float | None = None
    worker: threading.Thread | None = None


class Crew:
    """Works on frames until their channel ends. Promises come out in the order of the frames.

    Args:
        frames: Where frames come from.
        promised: Where promises go; closed at the end, with the error that ended it.
        prepare: Makes a frame ready; called by one thread at a time, in the order of the frames.
        segment: Infers; called by `calls` threads at once.
        calls: Inferences in flight.
        care: How the engine of a live source is kept up; None for a file.
        on_engine: Told with the error when an engine fails, and with None when one answers again.
        background: Whether inference gives way to other threads.
    """

    def __init__(
        self,
        frames: Channel[Captured],
        promised: Channel[Promise],
        prepare: Callable[[Frame], Prepared],
        segment: Callable[[Prepared], Segmentation],
        *,
        calls: int,
        care: EngineCare | None = None,
        on_engine: Callable[[EngineError | None], None] = lambda _error: None,
        background: bool = False,
    ) -> None:
        self._frames = frames
        self._promised = promised
        self._prepare = prepare
        self._segment = segment
        self._care = care
        self._on_engine = on_engine
        self._background = background
        self._taking = threading.Lock()
        self._lock = threading.Lock()
        self._pending: set[Promise] = set()
        self._prepared_once = False
        self._in_service = True
        self._answered = False  # the engine that is in service now
        self._missed = False  # an engine failed, and none has answered since
        self._left_behind: set[threading.Thread] = set()
        self._restarting: threading.Thread | None = None
        self._backoff = Backoff() if care is None else care.backoff()
        self._service_since = 0.0
        self._ended = threading.Event()
        self._threads = [self._thread(f"infer-{number}", self._run) for number in range(calls)]
        self._nurse = self._thread("engine watch", self._run_nurse)

    @staticmethod
    def _thread(name: str, target: Callable[..., None], *args: object) -> threading.Thread:
        return threading.Thread(target=target, args=args, name=f"rt-seg {name}", daemon=True)

    def start(self) -> None:
        """Start the workers."""
        self._service_since = time.monotonic()
        for thread in self._threads:
            thread.start()
        if self._care is not None:
            self._nurse.start()

    def abandon(self) -> None:
        """Let everybody who waits for an inference go on without it."""
        with self._lock:
            pending = list(self._pending)
        for promise in pending:
            if promise.answer is not None:
                promise.answer.cancel()

    def join(self, timeout: float) -> bool:
        """Wait until nobody is in a call to the engine, at most so many seconds for all; False if somebody still is."""
        until = time.monotonic() + timeout
        for thread in self._at_work():
            thread.join(max(until - time.monotonic(), 0.0))
        return not self.stuck

    @property
    def stuck(self) -> bool:
        """Whether a thread is still in a call, of those at work or of those left behind."""
        return bool(self._at_work())

    def _at_work(self) -> list[threading.Thread]:
        """Who may be in a call to the engine: the workers, those that hang, and who makes a new engine."""
        with self._lock:
            everybody = [*self._threads, *self._left_behind, *filter(None, [self._restarting])]
        return [thread for thread in everybody if thread.is_alive()]

    # --- the workers

    def _run(self) -> None:
        error: BaseException | None = None
        if self._background:
            give_way(INFERENCE_NICENESS)
        try:
            while self._work(*self._take()):
                pass
        except ChannelClosed:
            pass
        except BaseException as exc:  # noqa: BLE001 - whatever it is, it travels to the caller
            error = exc
        else:
            return  # replaced meanwhile: another one closes
        # each frame taken so far has its promise queued (both happen under the lock): the first to leave may close
        self._ended.set()
        self._frames.cancel()
        self._promised.close(error)

    def _take(self) -> tuple[Promise, Prepared | None]:
        with self._taking:
            promise, prepared = self._promise(self._frames.get())
            with self._lock:
                self._pending.add(promise)
            self._promised.put(promise)
            return promise, prepared

    def _promise(self, captured: Captured) -> tuple[Promise, Prepared | None]:
        if isinstance(captured, Prepared):
            return Promise(captured.frame, Future(), captured.spans), captured
        frame, span = captured
        promise = Promise(frame, Future(), {"capture": span})
        return promise, self._try_prepare(promise)

    def _try_prepare(self, promise: Promise) -> Prepared | None:
        """Prepare; of a live source a frame that cannot be (but the first) goes without a mask."""
        assert promise.answer is not None  # noqa: S101 - for the checkers: only stand-ins have none
        try:
            prepared = self._prepare(promise.frame)
        except Exception as exc:
            if self._care is None or not self._prepared_once:
                raise
            promise.answer.set_exception(exc)
            return None
        else:
            self._prepared_once = True
            prepared.spans["capture"] = promise.spans["capture"]
            return prepared

    def _work(self, promise: Promise, prepared: Prepared | None) -> bool:
        """Infer and keep the promise; False if this thread was given up meanwhile."""
        assert promise.answer is not None  # noqa: S101 - for the checkers: only stand-ins have none
        try:
            if prepared is not None:
                promise.answer.set_result(self._infer(promise, prepared))
                self._note_answer()
        except InvalidStateError:
            pass  # given up or abandoned meanwhile
        except BaseException as exc:  # noqa: BLE001 - whatever it is, it travels to the caller in the frame's place
            if not promise.answer.done():
                self._fail(exc)
            with suppress(InvalidStateError):
                promise.answer.set_exception(exc)
        finally:
            with self._lock:
                self._pending.discard(promise)
        return self._employed()

    def _infer(self, promise: Promise, prepared: Prepared) -> Segmentation:
        if not self._in_service:
            raise Unavailable("the engine is out of service")
        promise.worker, promise.since = threading.current_thread(), time.monotonic()
        return self._segment(prepared)

    def _note_answer(self) -> None:
        with self._lock:
            self._answered = True
            back = self._missed and self._in_service
            if back:
                self._missed = False
        if back:
            self._on_engine(None)

    def _employed(self) -> bool:
        """Whether this thread still has its place; one that was given up leaves."""
        with self._lock:
            if threading.current_thread() in self._threads:
                return True
            self._left_behind.discard(threading.current_thread())
            return False

    # --- care for the engine of a live source

    def _run_nurse(self) -> None:
        care = self._care
        while care is not None and not self._ended.wait(_LOOK_SECONDS):
            limit = care.seconds if self._answered else max(care.first_seconds, care.seconds)
            now = time.monotonic()
            with self._lock:
                hung = [item for item in self._pending if item.since is not None and now - item.since > limit]
            for promise in hung:
                self._give_up(promise, limit)

    def _give_up(self, promise: Promise, limit: float) -> None:
        """Break a promise, and put a new thread in the place of the one that hangs with it."""
        error = EngineError(f"the engine did not answer within {limit:g} s")
        worker = promise.worker
        with self._lock:
            if promise not in self._pending or worker is None or worker not in self._threads:
                return  # it answered just now
            index = self._threads.index(worker)
            self._left_behind.add(worker)
            self._threads[index] = self._thread(f"infer-{index}", self._run)
        if promise.answer is not None:
            with suppress(InvalidStateError):
                promise.answer.set_exception(error)
        self._fail(error)
        self._threads[index].start()

    def _fail(self, cause: BaseException) -> None:
        """Take the engine out of service and have it started again."""
        if self._care is None or isinstance(cause, Unavailable):
            return
        with self._lock:
            if not self._in_service:
                return
            self._in_service, self._missed = False, True
        error = cause if isinstance(cause, EngineError) else EngineError(f"the engine failed: {cause!r}")
        self._on_engine(error)
        if time.monotonic() - self._service_since > _STEADY_SECONDS:
            self._backoff.reset()
        if self._care.restart is not None:
            self._restarting = self._thread("engine start", self._restart, self._care.restart)
            self._restarting.start()

    def _restart(self, restart: Callable[[], Callable[[], None]]) -> None:
        """Make a new engine, however long it takes."""
        while len(self._left_behind) <= _MOST_LEFT_BEHIND and not self._ended.wait(self._backoff.next_wait()):
            try:
                release = restart()
            except Exception:  # noqa: BLE001, S112 - it was said that the engine fails; the next attempt follows
                continue
            self._answered = False
            self._service_since = time.monotonic()
            self._in_service = True
            release()
            return
