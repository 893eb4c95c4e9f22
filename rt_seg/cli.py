"""The command line: one command a job, each defined in its room."""

import sys
from contextlib import suppress
from importlib.metadata import version as installed_version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from rt_seg.benchmarks.command import evaluate
from rt_seg.benchmarks.harness.command import benchmark
from rt_seg.doctor import doctor
from rt_seg.engines.build_command import build_engine
from rt_seg.errors import OutputError, RtSegError
from rt_seg.realtime.command import StreamCommand, stream
from rt_seg.realtime.leaving import leave
from rt_seg.realtime.predict_command import predict
from rt_seg.train.command import explain, export, train


class _Group(TyperGroup):
    """Turns rt-seg's errors into one line and an exit code; lets paragraphs of help break where the terminal ends."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for command in self.commands.values():
            paragraphs = (command.help or "").split("\n\n")
            command.help = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)

    def invoke(self, ctx: Any) -> Any:
        """Run the command; see `TyperGroup.invoke`."""
        try:
            return super().invoke(ctx)
        except RtSegError as exc:
            if ctx.params.get("debug"):
                raise
            _say(exc)
            raise typer.Exit(exc.exit_code) from exc


def _say(error: RtSegError) -> None:
    message = " ".join(str(error).split())
    sys.stderr.write(f"rt-seg: {message}\n")


app = typer.Typer(
    name="rt-seg",
    cls=_Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # a traceback is for developers, and theirs is Python's own
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"rt-seg {installed_version('rt-seg')}\n")
        raise typer.Exit


@app.callback()
def main(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and end.")
    ] = False,
) -> None:
    """Real-time polyp segmentation for colonoscopy video. For research and engineering, not a medical device."""


app.command(cls=StreamCommand)(stream)
app.command()(predict)
app.command()(evaluate)
app.command()(benchmark)
app.command()(train)
app.command()(export)
app.command()(explain)
app.command()(build_engine)
app.command()(doctor)


def run() -> None:
    """`rt-seg` as a program; it ends also where a thread hangs in a call that cannot be cancelled."""
    try:
        code = _run()
    except OutputError as exc:  # help, or the last lines that were printed, could not be written
        if "--debug" in sys.argv:
            raise
        _say(exc)
        code = exc.exit_code
    leave(code)
    sys.exit(code)


def _run() -> int:
    code = 0
    try:
        app(prog_name="rt-seg")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    if code == 0:  # else something worse was told, and `leave` writes the rest
        with suppress(OSError, ValueError):
            sys.stdout.flush()
    return code
