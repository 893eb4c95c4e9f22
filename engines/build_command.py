"""`rt-seg build-engine` as a command: options in, engine and report out."""

import json
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

_TARGET = "What it is built for"
_GATE = "Accuracy gate"
_OUTPUT = "Output"


def build_engine(
    model: Annotated[
        Path | None,
        typer.Argument(help="A deployable float32 .onnx; by default the packaged model.", show_default=False),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The .engine to write, with NAME.engine.json beside it. By default the user's cache, where "
            "--engine auto finds it.",
            rich_help_panel=_OUTPUT,
            show_default=False,
        ),
    ] = None,
    precision: Annotated[
        Literal["fp16", "fp32", "int8"],
        typer.Option(
            help="Arithmetic. int8 takes its ranges from MODEL.int8.onnx beside the model, else from --gate-data."
        ),
    ] = "fp16",
    runtime: Annotated[
        Literal["tensorrt", "tensorrt-rtx"] | None,
        typer.Option(
            help="tensorrt builds on the GPU that the engine is for, tensorrt-rtx on any machine, for GPUs of the RTX "
            "kind. By default tensorrt where it and a GPU are there, else tensorrt-rtx.",
            rich_help_panel=_TARGET,
            show_default=False,
        ),
    ] = None,
    batch: Annotated[
        str,
        typer.Option(help="Batch sizes, such as 1,4,8: one optimisation profile each.", rich_help_panel=_TARGET),
    ] = "1",
    gpu: Annotated[
        str | None,
        typer.Option(
            help="Compute capabilities for tensorrt-rtx, such as SM86,SM89. By default that of the GPU here; without "
            "one, all that the library knows from Ampere (SM80) on.",
            rich_help_panel=_TARGET,
            show_default=False,
        ),
    ] = None,
    timing_cache: Annotated[
        Path | None,
        typer.Option(
            help="File in which tensorrt keeps what it measured, for faster builds; made if it is not there.",
            rich_help_panel=_TARGET,
            show_default=False,
        ),
    ] = None,
    gate_data: Annotated[
        Path | None,
        typer.Option(
            help="Data folder or folder of pictures that the gate runs on; by default the packaged samples.",
            rich_help_panel=_GATE,
            show_default=False,
        ),
    ] = None,
    json_report: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Print the closing report as JSON on standard output, and nothing else there.",
            rich_help_panel=_OUTPUT,
        ),
    ] = False,
) -> None:
    """Build a TensorRT engine of a model, once it has passed its accuracy gate.

    The gate compares masks with those of float32: an mDice of at least 0.99 for fp16, of 0.98 for int8, and nothing
    infinite. It runs on the CPU, which computes what FP16 would: each value is rounded after every operator. Nodes stay
    in float32 only if it cannot be passed without. Below it nothing is written. fp32 converts nothing and has no gate.

    What has been run: conversion, gate, and building with TensorRT-RTX without a GPU. What has never been run on a GPU:
    the engines, and building with TensorRT itself (its names and signatures are checked against 10.16 and 11.4).

    Exit codes: 0 built, 2 wrong command line or impossible batch or target, 5 model unusable or below the gate, 6 gate
    data unusable, 7 output unwritable, 8 no GPU or a build that failed, 9 without TensorRT or ONNX Runtime, 130 ended
    by Ctrl-C, 143 by SIGTERM, 129 by a closed terminal.
    """
    batches = _batches(batch)
    targets = tuple(part.strip() for part in (gpu or "").split(",") if part.strip())

    from .load import PACKAGED_MODEL
    from .tensorrt.build import BuildSettings
    from .tensorrt.build import build_engine as build
    from .tensorrt.build_console import BuildConsole, as_dict
    from .tensorrt.interrupt import ending_by_exception

    settings = BuildSettings(
        model=model or PACKAGED_MODEL,
        output=output,
        precision=precision,
        flavour=runtime,
        batches=batches,
        targets=targets,
        timing_cache=timing_cache,
        gate_data=gate_data,
    )
    with ending_by_exception(), BuildConsole() as console:
        built = build(settings, console)
    if json_report:
        sys.stdout.write(json.dumps(as_dict(built)) + "\n")
    else:
        console.print_report(built)


def _batches(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as exc:
        raise typer.BadParameter(f"batch sizes are whole numbers, such as 1,4,8, got {text!r}") from exc
