"""`ReplaySink`: the view's own recording of a file that nobody records, so that it can be looked at again."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from rt_seg.errors import OutputError
from rt_seg.realtime.frame import Rendered
from rt_seg.realtime.sinks.video import VideoSink
from rt_seg.realtime.sources.source import SourceInfo

_NAME = "recording.mp4"


class ReplaySink:
    """Records into a temporary folder. A disk that is full ends the recording, never the stream.

    Passive and not thread-safe, but for `remove`, which comes after all else.

    Args:
        info: What is recorded.
        on_failure: Told why it ended early.

    Attributes:
        failed: Whether it ended early.
    """

    name = "view recording"
    path = None  # it is no output: nobody asked for it, and it goes with the view
    notes = ()

    def __init__(self, info: SourceInfo, on_failure: Callable[[str], None]) -> None:
        self.failed = False
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
        return self._file if self._file is not None and self._file.is_file() else None

    def remove(self) -> None:
        """Delete it; a second call does nothing."""
        folder, self._folder, self._file = self._folder, None, None
        if folder is not None:
            folder.cleanup()

    def _fail(self, reason: str) -> None:
        self.failed = True
        self._on_failure(f"the view keeps no recording to look at afterwards: {reason}")
