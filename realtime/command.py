"""`rt-seg stream` as a command: options in, summary out."""

import json
import os
import sys
from typing import Any

import typer
from typer.core import TyperCommand

from rt_seg.errors import OutputError
from rt_seg.option_file import save_options

from . import options
from .view.address import DEFAULT_ADDRESS, is_address


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
    context: typer.Context,
    source: options.Source,
    engine: options.Engine = "auto",
    precision: options.Precision = "auto",
    roi: options.Roi = "auto",
    start: options.Start = 0.0,
    duration: options.Duration = None,
    limit: options.Limit = None,
    output: options.Output = None,
    results: options.Results = None,
    masks: options.Masks = None,
    events: options.Events = None,
    snapshots: options.Snapshots = None,
    redact: options.Redact = False,
    show: options.Show = None,
    json_summary: options.JsonSummary = False,
    serve: options.Serve = None,
    token: options.Token = None,
    tls_cert: options.TlsCert = None,
    tls_key: options.TlsKey = None,
    insecure: options.Insecure = False,
    overlay: options.Overlay = "contour",
    alpha: options.Alpha = 0.4,
    hud: options.Hud = True,
    threshold: options.Threshold = None,
    stabilise: options.Stabilise = None,
    min_frames: options.MinFrames = None,
    min_confidence: options.MinConfidence = None,
    display: options.Display = None,
    max_staleness: options.MaxStaleness = 120.0,
    live: options.Live = False,
    signal_timeout: options.SignalTimeout = 2.0,
    reconnect: options.Reconnect = None,
    camera_size: options.CameraSize = None,
    camera_fps: options.CameraFps = None,
    camera_format: options.CameraFormat = None,
    config: options.Config = None,  # noqa: ARG001  its callback has put it into the other options
    save_config: options.SaveConfig = None,
) -> None:
    """Segment polyps in a video, live or recorded, and draw them on the picture.

    Ctrl-C ends it like the end of the video: every file is finished and plays. A live stream goes on whatever fails
    behind its picture; the failure is said at once and by the exit code.

    With --serve the end of a file ends nothing: its recording can be looked at in the browser until Ctrl-C.

    Exit codes: 0 done, 2 wrong command line, 3 source unusable, 4 source broke off midway or damaged, 5 model unusable,
    7 output unwritable or no listening at the address of --serve, 8 engine failed, 130 ended by Ctrl-C, 143 by SIGTERM,
    129 by a closed terminal.
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
        min_confidence=min_confidence,
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
        token=None if serve is None and token == os.environ.get(options.TOKEN_VARIABLE) else token,
        tls_cert=tls_cert,
        tls_key=tls_key,
        insecure=insecure,
    )
    if save_config is not None:
        settings.check()
        save_options(context, save_config)
    try:
        with Console() as console:
            summary = run_stream(settings, console)
    except Interrupted as exc:
        raise typer.Exit(128 + exc.number) from exc
    try:
        if json_summary:
            sys.stdout.write(json.dumps(summary.as_dict()) + "\n")
            sys.stdout.flush()
        else:
            console.print_summary(summary, writes=settings.writes)
    except OutputError as exc:
        raise summary.error or exc from exc  # what went wrong first counts more
    if summary.error is not None:
        raise summary.error
    if summary.signal is not None:
        raise typer.Exit(128 + summary.signal)
