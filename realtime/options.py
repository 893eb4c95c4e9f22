"""The options of `rt-seg stream`, one type each: what it takes, and what the help page says of it.

Their defaults stand in the command's signature. The libraries that check a value are imported when there is one.
"""

import math
from pathlib import Path
from typing import Annotated, Literal

import typer

from rt_seg.option_file import FileUnless, apply_options

from .view.address import DEFAULT_ADDRESS

_INPUT = "Input"
_LIVE = "Live"
_CAMERA = "Camera"
_OUTPUT = "Output"
_MASK = "Mask"
_LOOK = "Look"
_SETTINGS = "Settings"
_VIEW = "View in a browser"
TOKEN_VARIABLE = "RT_SEG_TOKEN"  # noqa: S105 - a name, no token
_FLAG = ""  # stands where the help page would say <bool>
_ENGINES = ("auto", "cpu")


def _read_config(context: typer.Context, path: Path | None) -> Path | None:
    """Callback of ``--config``."""
    if path is not None:
        apply_options(context, path)
    return path


def _is_no_file(source: str) -> bool:
    """Whether a source is a camera, an address or the demo."""
    from .sources.open import DEMO, is_live

    return source == DEMO or "://" in source or is_live(source)


def _complete_source(incomplete: str) -> list[str]:
    """The one word among the sources; where nothing is said, shells complete files."""
    from .sources.open import DEMO

    meant = incomplete and DEMO.startswith(incomplete) and not any(Path().glob(f"{incomplete}*"))
    return [DEMO] if meant else []


def _refuse_infinite(value: float | None) -> float | None:
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter("must be a finite number")
    return value


def _refuse_no_duration(seconds: float | None) -> float | None:
    if seconds is not None and not (math.isfinite(seconds) and seconds > 0):
        raise typer.BadParameter("must be a finite number above 0")
    return seconds


def _checked_roi(text: str) -> str:
    from rt_seg.engines.field_of_view import parse_roi

    if text != "auto":  # the default needs no check, and completion no library
        parse_roi(text)
    return text


def _checked_min_frames(text: str) -> str:
    from .controls import parse_min_frames

    parse_min_frames(text)
    return text


def _checked_size(text: str) -> str:
    from .sources.camera import parse_size

    parse_size(text)
    return text


Source = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="A video, a folder or pattern of images, a camera (0, /dev/video0), an address (rtsp, http, udp), or "
        "demo, the clip that comes along.",
        autocompletion=_complete_source,
        show_default=False,
    ),
    FileUnless(_is_no_file),
]
Engine = Annotated[
    str,
    typer.Option(
        metavar="FILE|auto|cpu",
        help="A deployable .onnx or a built .engine; cpu: the packaged model; auto (default): the best there is.",
        show_default=False,
        autocompletion=lambda: _ENGINES,
    ),
    FileUnless(_ENGINES.__contains__),
]
Precision = Annotated[
    Literal["auto", "f32", "bf16", "int8"],
    typer.Option(
        help="Arithmetic on the CPU; auto (default): the fastest that passed its gate and runs natively.",
        show_default=False,
    ),
]
Roi = Annotated[
    str,
    typer.Option(
        metavar="auto|full|X,Y,W,H",
        help="Part of the picture to look at: the field of view (default), all, or a box in pixels.",
        show_default=False,
        parser=_checked_roi,
        autocompletion=lambda: ("auto", "full"),
        rich_help_panel=_INPUT,
    ),
]
Start = Annotated[
    float,
    typer.Option(
        min=0.0,
        metavar="SECONDS",
        callback=_refuse_infinite,
        help="Begin there.",
        show_default=False,
        rich_help_panel=_INPUT,
    ),
]
Duration = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS",
        callback=_refuse_no_duration,
        help="End after so long.",
        rich_help_panel=_INPUT,
        show_default=False,
    ),
]
Limit = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="End after so many frames.", rich_help_panel=_INPUT, show_default=False),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE.mp4",
        help="Record the overlay in H.264; a file that is there is replaced.",
        rich_help_panel=_OUTPUT,
    ),
]
Results = Annotated[
    Path | None,
    typer.Option(metavar="FILE.jsonl", help="Write polyps and times, a line a frame.", rich_help_panel=_OUTPUT),
]
Masks = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Write a mask a frame, as PNG.", rich_help_panel=_OUTPUT),
]
Events = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="FILE.jsonl|.csv",
        help="Write sightings, lost signals, states and drops; may be given twice.",
        rich_help_panel=_OUTPUT,
    ),
]
Snapshots = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Write the best frame of each sighting.",
        rich_help_panel=_OUTPUT,
    ),
]
Redact = Annotated[
    bool,
    typer.Option(
        "--redact/--no-redact",
        metavar=_FLAG,
        help="Leave out all that may name a patient: what is outside the field of view, text in it, sound, names.",
        rich_help_panel=_OUTPUT,
        show_default=False,
    ),
]
Show = Annotated[
    bool | None,
    typer.Option(
        "--show/--no-show",
        metavar=_FLAG,
        help="Show a window; by default where there is a display and nothing is written.",
        rich_help_panel=_OUTPUT,
        show_default=False,
    ),
]
JsonSummary = Annotated[
    bool,
    typer.Option(
        "--json/--no-json",
        metavar=_FLAG,
        help="Print the closing summary as JSON.",
        rich_help_panel=_OUTPUT,
        show_default=False,
    ),
]
Serve = Annotated[
    str | None,
    typer.Option(
        metavar="[HOST:PORT]",
        help=f"Show the stream in any browser, with its controls; {DEFAULT_ADDRESS} unless said otherwise. Port 0 "
        "takes a free one.",
        rich_help_panel=_VIEW,
        show_default=False,
    ),
]
Token = Annotated[
    str | None,
    typer.Option(
        help="What a browser must know, 16 characters or more. For an address that other machines reach one is "
        "made and printed, unless given.",
        envvar=TOKEN_VARIABLE,
        rich_help_panel=_VIEW,
        show_default=False,
    ),
]
TlsCert = Annotated[
    Path | None,
    typer.Option(metavar="PEM", help="Certificate.", rich_help_panel=_VIEW, show_default=False),
]
TlsKey = Annotated[Path | None, typer.Option(metavar="PEM", help="Its key.", rich_help_panel=_VIEW, show_default=False)]
Insecure = Annotated[
    bool,
    typer.Option(
        "--insecure/--no-insecure",
        metavar=_FLAG,
        help="Let other machines look without TLS: anybody between can read pictures and token.",
        rich_help_panel=_VIEW,
        show_default=False,
    ),
]
Overlay = Annotated[
    Literal["contour", "fill", "heatmap", "none"],
    typer.Option(metavar="STYLE", help="Draw the mask as contour, fill, heatmap or none.", rich_help_panel=_LOOK),
]
Alpha = Annotated[
    float, typer.Option(min=0.0, max=1.0, metavar="", help="Opacity of fill and heatmap.", rich_help_panel=_LOOK)
]
Hud = Annotated[
    bool,
    typer.Option(
        "--hud/--no-hud", metavar=_FLAG, help="Show state, rate and delay in a corner.", rich_help_panel=_LOOK
    ),
]
Threshold = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        max=1.0,
        metavar="",
        help="Probability from which a pixel is polyp; by default the model's own.",
        rich_help_panel=_MASK,
        show_default=False,
    ),
]
Stabilise = Annotated[
    Literal["off", "light", "strong"] | None,
    typer.Option(
        help="How much masks are held still; light by default, off for images.",
        rich_help_panel=_MASK,
        show_default=False,
    ),
]
MinFrames = Annotated[
    str | None,
    typer.Option(
        metavar="K/N",
        parser=_checked_min_frames,
        autocompletion=lambda: ("1/1", "2/3", "3/5"),
        help="Draw a polyp once K of N frames showed it; 2/3 by default, 1/1 for images.",
        rich_help_panel=_MASK,
        show_default=False,
    ),
]
MinConfidence = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        max=1.0,
        help="Confidence from which a frame counts for that; 0.6 by default, 0 for images.",
        rich_help_panel=_MASK,
        show_default=False,
    ),
]
Display = Annotated[
    Literal["aligned", "passthrough"] | None,
    typer.Option(
        help="aligned: a frame waits for its own mask (files). passthrough: it is shown at once, with the newest "
        "mask moved along (live).",
        rich_help_panel=_LIVE,
        show_default=False,
    ),
]
MaxStaleness = Annotated[
    float,
    typer.Option(
        min=10.0,
        metavar="MS",
        callback=_refuse_infinite,
        help="passthrough: withhold an older mask.",
        rich_help_panel=_LIVE,
    ),
]
Live = Annotated[
    bool,
    typer.Option(
        "--live/--no-live",
        metavar=_FLAG,
        help="Play a file as if it were a camera.",
        rich_help_panel=_LIVE,
        show_default=False,
    ),
]
SignalTimeout = Annotated[
    float,
    typer.Option(
        min=0.2,
        metavar="SECONDS",
        callback=_refuse_infinite,
        help="Without a picture for so long, there is no signal.",
        rich_help_panel=_LIVE,
    ),
]
Reconnect = Annotated[
    int | None,
    typer.Option(
        min=0,
        metavar="N",
        help="Attempts to open a lost source again; by default without end.",
        rich_help_panel=_LIVE,
        show_default=False,
    ),
]
CameraSize = Annotated[
    str | None,
    typer.Option(
        metavar="WxH",
        parser=_checked_size,
        autocompletion=lambda: ("1920x1080", "1280x720", "3840x2160"),
        help="Size to ask for.",
        rich_help_panel=_CAMERA,
        show_default=False,
    ),
]
CameraFps = Annotated[
    float | None,
    typer.Option(min=1.0, metavar="FPS", callback=_refuse_infinite, help="Rate to ask for.", rich_help_panel=_CAMERA),
]
CameraFormat = Annotated[
    Literal["MJPG", "YUYV", "NV12"] | None,
    typer.Option(help="Format to ask for.", rich_help_panel=_CAMERA, show_default=False),
]
Config = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.toml",
        is_eager=True,
        callback=_read_config,
        help="Take options, and SOURCE, from there; what is given beside it wins.",
        rich_help_panel=_SETTINGS,
    ),
]
SaveConfig = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.toml",
        is_eager=True,
        help="Write all options as they stand, then run.",
        rich_help_panel=_SETTINGS,
    ),
]
