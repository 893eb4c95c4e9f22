"""`rt-seg stream` as a command: options in, summary out."""

import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from .view.address import DEFAULT_ADDRESS, is_address

_INPUT = "Input"
_LIVE = "Live"
_CAMERA = "Camera"
_OUTPUT = "Output"
_MASK = "Mask"
_LOOK = "Look"
_VIEW = "View in a browser"
_TOKEN_VARIABLE = "RT_SEG_TOKEN"  # noqa: S105 - a name, no token


class StreamCommand(TyperCommand):
    """`stream`, whose ``--serve`` may go without a value."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """See `TyperCommand.parse_args`."""
        return super().parse_args(ctx, with_address(args))


def with_address(args: list[str]) -> list[str]:
    """The arguments with the default address after a ``--serve`` that no address follows."""
    end = args.index("--") if "--" in args else len(args)
    given: list[str] = []
    for place, argument in enumerate(args):
        given.append(argument)
        follows = args[place + 1] if place + 1 < end else ""
        if argument == "--serve" and place < end and not is_address(follows):
            given.append(DEFAULT_ADDRESS)
    return given


def stream(
    source: Annotated[
        str,
        typer.Argument(
            help="A video file, a folder or glob of images, a camera (0, /dev/video0), an rtsp://, http(s):// or "
            "udp:// address, or the word demo for the clip that comes along.",
            show_default=False,
        ),
    ],
    engine: Annotated[
        str,
        typer.Option(
            help="A deployable .onnx, a built engine, cpu for the packaged model, or auto for the best there is."
        ),
    ] = "auto",
    precision: Annotated[
        Literal["auto", "f32", "bf16", "int8"],
        typer.Option(
            help="Arithmetic on the CPU; auto is the fastest that passed its accuracy gate and runs natively here."
        ),
    ] = "auto",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Record the overlay as H.264 MP4; an existing file is replaced.",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    results: Annotated[
        Path | None,
        typer.Option(help="Write polyps and times as JSON lines, one a frame.", rich_help_panel=_OUTPUT),
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option(help="Write a PNG mask a frame into this folder.", rich_help_panel=_OUTPUT),
    ] = None,
    events: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Write sightings, lost signals, states and drops as .jsonl or .csv; may be given twice.",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    snapshots: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write the best frame of each sighting, with and without overlay.",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    redact: Annotated[
        bool,
        typer.Option(
            "--redact",
            help="Black out all outside the field of view and text inside it, and leave sound and source names out.",
            rich_help_panel=_OUTPUT,
        ),
    ] = False,
    show: Annotated[
        bool | None,
        typer.Option(
            "--show/--no-show",
            help="Show a window; its keys stand below the picture. By default where there is a display and nothing is "
            "written.",
            rich_help_panel=_OUTPUT,
            show_default=False,
        ),
    ] = None,
    serve: Annotated[
        str | None,
        typer.Option(
            metavar="[HOST:PORT]",
            help=f"Show the stream in any browser, with its controls; {DEFAULT_ADDRESS} unless said otherwise. Port 0 "
            "takes a free one.",
            rich_help_panel=_VIEW,
            show_default=False,
        ),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            help="What a browser must know, 16 characters or more. For an address that other machines reach one is "
            "made and printed, unless given.",
            envvar=_TOKEN_VARIABLE,
            rich_help_panel=_VIEW,
            show_default=False,
        ),
    ] = None,
    tls_cert: Annotated[
        Path | None,
        typer.Option(metavar="PEM", help="Certificate.", rich_help_panel=_VIEW, show_default=False),
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(metavar="PEM", help="Its key.", rich_help_panel=_VIEW, show_default=False)
    ] = None,
    insecure: Annotated[
        bool,
        typer.Option(
            "--insecure",
            help="Let other machines look without TLS: anybody between can read pictures and token.",
            rich_help_panel=_VIEW,
        ),
    ] = False,
    json_summary: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Print the closing summary as JSON on standard output, and nothing else there.",
            rich_help_panel=_OUTPUT,
        ),
    ] = False,
    overlay: Annotated[
        Literal["contour", "fill", "heatmap", "none"],
        typer.Option(help="How the mask is drawn.", rich_help_panel=_LOOK),
    ] = "contour",
    alpha: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Opacity of fill and heatmap.", rich_help_panel=_LOOK)
    ] = 0.4,
    hud: Annotated[
        bool, typer.Option("--hud/--no-hud", help="Show state, rate and delay in a corner.", rich_help_panel=_LOOK)
    ] = True,
    threshold: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Probability from which a pixel counts as polyp; by default the model's own.",
            rich_help_panel=_MASK,
            show_default=False,
        ),
    ] = None,
    stabilise: Annotated[
        Literal["off", "light", "strong"] | None,
        typer.Option(
            help="How much masks are held still from frame to frame; light by default, off for images.",
            rich_help_panel=_MASK,
            show_default=False,
        ),
    ] = None,
    min_frames: Annotated[
        str | None,
        typer.Option(
            metavar="K/N",
            help="Draw a polyp once K of the last N frames showed it; 2/3 by default, 1/1 for images.",
            rich_help_panel=_MASK,
            show_default=False,
        ),
    ] = None,
    display: Annotated[
        Literal["aligned", "passthrough"] | None,
        typer.Option(
            help="aligned: each frame waits for its own mask (default for files). passthrough: each frame is shown at "
            "once, with the newest mask moved to where the tissue is (default for live streams).",
            rich_help_panel=_LIVE,
            show_default=False,
        ),
    ] = None,
    max_staleness: Annotated[
        float,
        typer.Option(min=10.0, metavar="MS", help="passthrough: an older mask is withheld.", rich_help_panel=_LIVE),
    ] = 120.0,
    live: Annotated[
        bool,
        typer.Option("--live", help="Play a file at its own pace, as if it were a camera.", rich_help_panel=_LIVE),
    ] = False,
    signal_timeout: Annotated[
        float,
        typer.Option(
            min=0.2, metavar="SECONDS", help="Without a picture for so long there is no signal.", rich_help_panel=_LIVE
        ),
    ] = 2.0,
    reconnect: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            help="Attempts to open a lost source again before the stream ends; by default without end.",
            rich_help_panel=_LIVE,
            show_default=False,
        ),
    ] = None,
    camera_size: Annotated[
        str | None,
        typer.Option(metavar="WxH", help="Ask for this size.", rich_help_panel=_CAMERA, show_default=False),
    ] = None,
    camera_fps: Annotated[
        float | None,
        typer.Option(min=1.0, help="Ask for so many frames a second.", rich_help_panel=_CAMERA, show_default=False),
    ] = None,
    camera_format: Annotated[
        Literal["MJPG", "YUYV", "NV12"] | None,
        typer.Option(help="Ask for this format on the wire.", rich_help_panel=_CAMERA, show_default=False),
    ] = None,
    roi: Annotated[
        str,
        typer.Option(
            help="Part of the picture that is segmented: auto finds the endoscope's field of view, full takes all, "
            "X,Y,W,H is in pixels.",
            rich_help_panel=_INPUT,
        ),
    ] = "auto",
    start: Annotated[float, typer.Option(min=0.0, help="Begin at this many seconds.", rich_help_panel=_INPUT)] = 0.0,
    duration: Annotated[
        float | None, typer.Option(help="End after this many seconds.", rich_help_panel=_INPUT, show_default=False)
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="End after this many frames.", rich_help_panel=_INPUT, show_default=False)
    ] = None,
) -> None:
    """Segment polyps in a video, live or recorded, and draw them on the picture.

    Ctrl-C ends it like the end of the video: every file is finished and playable.

    A live stream goes on whatever fails behind its picture; the failure is said at once and by the exit code.

    With --serve the end of a file ends nothing: its recording can be looked at in the browser until Ctrl-C.

    Exit codes: 0 done, 2 wrong command line, 3 source unusable, 4 source broke off midway, 5 model unusable, 7 output
    unwritable or no listening at the address of --serve, 8 engine failed, 130 ended by Ctrl-C, 143 by SIGTERM, 129 by a
    closed terminal.
    """
    from .console import Console
    from .signals import Interrupted
    from .stream import StreamSettings, run_stream

    settings = StreamSettings(
        source=source,
        engine=engine,
        precision=precision,
        output=output,
        results=results,
        masks=masks,
        events=tuple(events or ()),
        snapshots=snapshots,
        redact=redact,
        show=show,
        overlay=overlay,
        alpha=alpha,
        hud=hud,
        threshold=threshold,
        roi=roi,
        start=start,
        duration=duration,
        limit=limit,
        stabilise=stabilise,
        min_frames=min_frames,
        display=display,
        max_staleness_ms=max_staleness,
        live=live,
        signal_timeout=signal_timeout,
        reconnect=reconnect,
        camera_size=camera_size,
        camera_fps=camera_fps,
        camera_format=camera_format,
        serve=serve,
        # a variable may be set for other runs; an option that would do nothing is a mistake
        token=None if serve is None and token == os.environ.get(_TOKEN_VARIABLE) else token,
        tls_cert=tls_cert,
        tls_key=tls_key,
        insecure=insecure,
    )
    try:
        with Console() as console:
            summary = run_stream(settings, console)
    except Interrupted as exc:
        raise typer.Exit(128 + exc.number) from exc
    if json_summary:
        with suppress(OSError):  # a closed terminal
            sys.stdout.write(json.dumps(summary.as_dict()) + "\n")
            sys.stdout.flush()
    else:
        console.print_summary(summary)
    if summary.error is not None:
        raise summary.error
    if summary.signal is not None:
        raise typer.Exit(128 + summary.signal)
