"""`ReplaySink`: the view's own recording of a file that nobody records, so that it can be looked at again.

It shows a patient and nobody asked to keep it, so it must not outlive the process, not even one that is killed: as soon
as the file is there its name is taken away, and it is read through its descriptor. Where the system has no path to a
descriptor (``/proc/self/fd``) the file keeps its name until `remove`.
"""

import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from rt_seg.errors import OutputError
from rt_seg.realtime.frame import Rendered
from rt_seg.realtime.sinks.video import VideoSink
from rt_seg.realtime.sources.source import SourceInfo

_NAME = "recording.mp4"
_DESCRIPTORS = Path("/proc/self/fd")


class ReplaySink:
    """Records into a temporary folder. A disk that is full ends the recording, never the stream.

    Passive and not thread-safe, but for `remove`, which comes after all else.

    Args:
        info: What is recorded.
        on_failure: Told why it ended early.

    Attributes:
        failed: Whether it ended early.
        span: Stream times in seconds of its first and its last picture; None: it has none.
    """

    name = "view recording"
    path = None  # it is no output: nobody asked for it, and it goes with the view
    notes = ()

    def __init__(self, info: SourceInfo, on_failure: Callable[[str], None]) -> None:
        self.failed = False
        self._descriptor: int | None = None
        self.span: tuple[float, float] | None = None
        self._on_failure = on_failure
        try:
            self._folder: tempfile.TemporaryDirectory[str] | None = tempfile.TemporaryDirectory(prefix="rt-seg-view-")
            self._file: Path | None = Path(self._folder.name) / _NAME
            self._sink: VideoSink | None = VideoSink(self._file, info)
        except (OSError, OutputError) as exc:
            self._folder = self._file = self._sink = None
            self._fail(str(exc))

    def write(self, rendered: Rendered) -> None:
        """See `Sink.write`."""
        if self._sink is not None:
            try:
                self._sink.write(rendered)
                seconds = rendered.frame.pts_seconds
                self.span = (seconds if self.span is None else self.span[0], seconds)
                self._hide()
            except OutputError as exc:
                self._sink = None  # it closed itself
                self._fail(str(exc))

    def close(self) -> None:
        """See `Sink.close`."""
        sink, self._sink = self._sink, None
        if sink is not None:
            try:
                sink.close()
            except OutputError as exc:
                self._fail(str(exc))

    @property
    def file(self) -> Path | None:
        """What was recorded, if it can be played."""
        file = self._file
        return file if file is not None and file.is_file() and file.stat().st_size > 0 else None

    def remove(self) -> None:
        """Delete it; a second call does nothing."""
        descriptor, self._descriptor, self._file = self._descriptor, None, None
        self._clean()
        if descriptor is not None:
            os.close(descriptor)

    def _hide(self) -> None:
        """Take the file's name away, once it is there."""
        file = self._file
        if self._descriptor is not None or file is None or not _DESCRIPTORS.is_dir() or not file.exists():
            return
        with suppress(OSError):  # then it keeps its name until it is removed
            self._descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
            self._file = _DESCRIPTORS / str(self._descriptor)
            self._clean()

    def _clean(self) -> None:
        folder, self._folder = self._folder, None
        if folder is not None:
            folder.cleanup()

    def _fail(self, reason: str) -> None:
        self.failed = True
        self._on_failure(f"the view keeps no recording to look at afterwards: {reason}")
