"""`rt-seg stream` as a command: options in, summary out."""

import json
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

_INPUT = "Input"
_OUTPUT = "Output"
_LOOK = "Look"


def stream(
    source: Annotated[
        str,
        typer.Argument(
            help="A video file, a folder or glob of images, a camera index, an rtsp://, http(s):// or udp:// address, "
            "or the word demo for the clip that comes along.",
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
    show: Annotated[
        bool | None,
        typer.Option(
            "--show/--no-show",
            help="Show a window (q or Esc ends it). By default where there is a display and nothing is written.",
            rich_help_panel=_OUTPUT,
            show_default=False,
        ),
    ] = None,
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
            rich_help_panel=_LOOK,
            show_default=False,
        ),
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

    Exit codes: 0 done, 2 wrong command line, 3 source unusable, 4 source broke off midway, 5 model unusable, 7 output
    unwritable, 8 engine failed, 130 ended by Ctrl-C, 143 by SIGTERM, 129 by a closed terminal.
    """
    from .console import Console
    from .stream import StreamSettings, run_stream

    settings = StreamSettings(
        source=source,
        engine=engine,
        precision=precision,
        output=output,
        results=results,
        masks=masks,
        show=show,
        overlay=overlay,
        alpha=alpha,
        hud=hud,
        threshold=threshold,
        roi=roi,
        start=start,
        duration=duration,
        limit=limit,
    )
    with Console() as console:
        summary = run_stream(settings, console)
    if json_summary:
        sys.stdout.write(json.dumps(summary.as_dict()) + "\n")
    else:
        console.print_summary(summary)
    if summary.error is not None:
        raise summary.error
    if summary.signal is not None:
        raise typer.Exit(128 + summary.signal)
