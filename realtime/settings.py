"""`StreamSettings`: what `rt-seg stream` was asked for, and what follows from it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rt_seg.engines.field_of_view import parse_roi
from rt_seg.engines.load import PrecisionChoice
from rt_seg.errors import InputError

from .controls import parse_min_frames
from .live import Display
from .overlay import Style
from .sightings import MIN_CONFIDENCE
from .sources.camera import CameraMode, parse_size
from .sources.open import is_camera, is_live
from .stabilise import Mode
from .view.address import parse_address


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """What `rt-seg stream` was asked for; `realtime/options.py` says what each means."""

    source: str
    engine: str = "auto"
    precision: PrecisionChoice = "auto"
    output: Path | None = None
    results: Path | None = None
    masks: Path | None = None
    events: tuple[Path, ...] = ()
    snapshots: Path | None = None
    show: bool | None = None
    overlay: Style = "contour"
    alpha: float = 0.4
    hud: bool = True
    threshold: float | None = None
    stabilise: Mode | None = None
    min_frames: str | None = None
    min_confidence: float | None = None
    roi: str = "auto"
    redact: bool = False
    start: float = 0.0
    duration: float | None = None
    limit: int | None = None
    live: bool = False
    display: Display | None = None
    max_staleness_ms: float = 120.0
    signal_timeout: float = 2.0
    reconnect: int | None = None
    camera_size: str | None = None
    camera_fps: float | None = None
    camera_format: Literal["MJPG", "YUYV", "NV12"] | None = None
    serve: str | None = None
    token: str | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    insecure: bool = False

    @property
    def plays_live(self) -> bool:
        """Whether frames come at their own pace and the newest counts."""
        return self.live or is_live(self.source)

    @property
    def writes(self) -> bool:
        """Whether anything is written."""
        return any((self.output, self.results, self.masks, self.events, self.snapshots))

    @property
    def unused(self) -> tuple[str, ...]:
        """A line for each setting that does nothing with this source, as where a camera's settings serve for a file."""
        of_cameras = {
            "--camera-size": self.camera_size,
            "--camera-fps": self.camera_fps,
            "--camera-format": self.camera_format,
        }
        idle = [] if is_camera(self.source) else [name for name, value in of_cameras.items() if value is not None]
        lines = [f"{name} is not used: the source is no camera" for name in idle]
        if self.reconnect is not None and not is_live(self.source):
            lines.append("--reconnect is not used: the source is neither a camera nor an address")
        return tuple(lines)

    def check(self) -> None:
        """Refuse what cannot be used whatever the source.

        Raises:
            InputError: With what to give instead.
        """
        self.chosen_display()
        self.camera_mode()
        parse_roi(self.roi)
        self.chosen_min_frames("video")
        self._check_serve()

    def _check_serve(self) -> None:
        if self.serve is not None:
            parse_address(self.serve)
            return
        given = {"--token": self.token, "--tls-cert": self.tls_cert, "--tls-key": self.tls_key}
        unused = [name for name, value in given.items() if value is not None] + ["--insecure"] * self.insecure
        if unused:
            raise InputError(f"{unused[0]} is for the view in a browser; add --serve")

    def chosen_display(self) -> Display:
        """How frames are shown.

        Raises:
            InputError: A file cannot be shown like that.
        """
        if self.display == "passthrough" and not self.plays_live:
            raise InputError("--display passthrough is for live streams; add --live to play a file as if it were one")
        return self.display or ("passthrough" if self.plays_live else "aligned")

    def chosen_stabilise(self, kind: str) -> Mode:
        """How masks are held still; pictures that have nothing to do with each other are not."""
        return self.stabilise or ("off" if kind == "images" else "light")

    def chosen_min_frames(self, kind: str) -> tuple[int, int]:
        """K and N: a polyp is drawn once K of the last N frames showed it; of single pictures, at once.

        Raises:
            InputError: It is something else.
        """
        # with the confidence below, 2/3 takes nine tenths of the false activations away, benchmarks/README.md; a file
        # could do without the wait, but then it would show another thing than the stream that it is a recording of
        return parse_min_frames(self.min_frames or ("1/1" if kind == "images" else "2/3"))

    def chosen_min_confidence(self, kind: str) -> float:
        """Confidence from which a frame counts for that; of single pictures whatever is found is drawn."""
        if self.min_confidence is not None:
            return self.min_confidence
        return 0.0 if kind == "images" else MIN_CONFIDENCE

    def camera_mode(self) -> CameraMode:
        """What a camera is asked for.

        Raises:
            InputError: The size is none.
        """
        size = None if self.camera_size is None else parse_size(self.camera_size)
        return CameraMode(size, self.camera_fps, self.camera_format)
