"""`rt-seg predict` as a command: pictures in, masks, overlays and boxes out."""

import sys
from pathlib import Path
from threading import Event
from typing import Annotated, Literal

import typer

_OUTPUT = "Output"
_LOOK = "Look"


def predict(
    images: Annotated[
        list[str],
        typer.Argument(help="Pictures, folders of pictures, or patterns such as 'frames/*.png'.", show_default=False),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="Folder for masks/NAME.png, overlays/NAME.png and predictions.json; such files are replaced.",
            rich_help_panel=_OUTPUT,
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
    roi: Annotated[
        str,
        typer.Option(
            help="Part of each picture that is segmented: auto finds the endoscope's field of view, full takes all, "
            "X,Y,W,H is in pixels.",
        ),
    ] = "auto",
    threshold: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Probability from which a pixel counts as polyp; by default the model's own.",
            show_default=False,
        ),
    ] = None,
    overlay: Annotated[
        Literal["contour", "fill", "heatmap", "none"],
        typer.Option(help="How the mask is drawn.", rich_help_panel=_LOOK),
    ] = "contour",
    alpha: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Opacity of fill and heatmap.", rich_help_panel=_LOOK)
    ] = 0.4,
) -> None:
    """Segment polyps in pictures: a mask and an overlay of each at its own size, and boxes of all in one JSON file.

    A picture that cannot be read is named on standard error, and the others are done all the same.

    Exit codes: 0 all done, 2 wrong command line, 3 a picture could not be read, 5 model unusable, 7 output unwritable,
    8 engine failed, 130 ended by Ctrl-C, 143 by SIGTERM, 129 by a closed terminal.
    """
    from rich.console import Console
    from rich.progress import track

    from rt_seg.engines.field_of_view import parse_roi
    from rt_seg.engines.load import load_engine
    from rt_seg.errors import SourceError

    from .overlay import Overlay
    from .predict import Predictor, check_output, find_images
    from .signals import ending_signals

    region = parse_roi(roi)
    paths = find_images(images)
    check_output(output, paths)
    console = Console(stderr=True, highlight=False)
    stop = Event()
    with (
        load_engine(engine, precision=precision) as model,
        Predictor(model, output, Overlay(overlay, alpha), region, threshold) as predictor,
        ending_signals(stop.set) as received,
    ):
        bar = track(paths, "predicting", console=console, transient=True, disable=not console.is_terminal)
        for path in bar:
            try:
                predictor.predict(path)
            except SourceError as exc:
                console.print(f"rt-seg: {exc}", markup=False, soft_wrap=True)
            if stop.is_set():
                break
    found = sum(bool(record["polyps"]) for record in predictor.images)
    sys.stdout.write(f"{len(predictor.images)} of {len(paths)} pictures done, {found} with a polyp: {output}\n")
    if received.number is not None:
        raise typer.Exit(128 + received.number)
    if predictor.failed:
        raise typer.Exit(SourceError.exit_code)
