"""`rt-seg evaluate` as a command: options in, tables and files out."""

import json
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

_INPUT = "Input"
_OUTPUT = "Output"


def evaluate(
    data: Annotated[
        list[Path],
        typer.Option(
            help="Data folder with images/ and masks/ of the same base names; give it again for each further centre.",
            rich_help_panel=_INPUT,
            show_default=False,
        ),
    ],
    split: Annotated[
        Path | None,
        typer.Option(help="List of images, one name a line: only these.", rich_help_panel=_INPUT, show_default=False),
    ] = None,
    exclude: Annotated[
        list[Path] | None,
        typer.Option(help="List of images never to use; may be repeated.", rich_help_panel=_INPUT, show_default=False),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="At most so many images of each folder, the first by name.",
            rich_help_panel=_INPUT,
            show_default=False,
        ),
    ] = None,
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
        Literal["auto", "full"],
        typer.Option(
            help="Part of the picture that is segmented: auto finds the endoscope's field of view, as stream does; "
            "full takes all, as published figures do. Either way the whole mask counts."
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
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Folder for per_image.csv, summary.json and figures; files of these names are replaced.",
            rich_help_panel=_OUTPUT,
            show_default=False,
        ),
    ] = None,
    figures: Annotated[
        bool,
        typer.Option(
            "--figures/--no-figures",
            help="Draw best and worst images and the threshold curve into --output.",
            rich_help_panel=_OUTPUT,
        ),
    ] = True,
    json_summary: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Print the figures as JSON on standard output, and nothing else there.",
            rich_help_panel=_OUTPUT,
        ),
    ] = False,
) -> None:
    """Measure how well a model segments polyps, on folders of images and masks.

    The probability is scaled up to each mask's own size, cut at the threshold and compared there; it is never stretched
    to fill 0 to 1. Every image counts the same. Overlap figures (mDice, mIoU, ...) are over the images that show a
    polyp; for the others stands how many show a false region. Intervals are 95 %, by bootstrap over images.

    Exit codes: 0 done, 2 wrong command line, 5 model unusable, 6 data unusable, 7 output unwritable, 8 engine failed,
    9 matplotlib missing, 130 ended by Ctrl-C.
    """
    from .evaluate import EvaluationSettings, evaluate_model
    from .evaluate_console import EvaluationConsole
    from .evaluate_files import check_report, write_tables
    from .evaluate_summary import as_dict, summarise

    settings = EvaluationSettings(
        data=tuple(data),
        split=split,
        exclude=tuple(exclude or ()),
        engine=engine,
        precision=precision,
        roi=roi,
        threshold=threshold,
        limit=limit,
    )
    if output is not None:
        check_report(output, figures=figures)
    with EvaluationConsole() as console:
        evaluation = evaluate_model(settings, console)
        summary = summarise(evaluation)
        values = as_dict(evaluation, summary)
        if json_summary:
            sys.stdout.write(json.dumps(values) + "\n")
        else:
            console.print_summary(evaluation, summary)
        if output is not None:
            files = write_tables(output, evaluation, values)
            if figures:
                from .evaluate_figures import draw_figures

                files += draw_figures(output / "figures", evaluation, summary)
            console.note(f"written to {output}: {', '.join(str(file.relative_to(output)) for file in files)}")
