"""The command line itself: help, version, errors and what it imports."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rt_seg.cli import app
from rt_seg.errors import DataError, MissingDependencyError, RtSegError

_HEAVY = {"av", "cv2", "keras", "matplotlib", "numpy", "onnx", "openvino", "tensorflow", "tensorrt", "tensorrt_rtx"}

_LIST_IMPORTS = """
import sys
from rt_seg.cli import app
try:
    app({arguments!r})
except SystemExit as end:
    print(*sorted(sys.modules), file=sys.stderr)
    sys.exit(end.code)
"""


def _answer(*arguments: str) -> str:
    """What a successful call prints, wrapped lines joined."""
    result = CliRunner(env={"COLUMNS": "200", "TERM": "dumb"}).invoke(app, arguments)
    assert result.exit_code == 0, result.output
    return " ".join(result.stdout.split())


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`rt-seg ARGUMENTS` in a process of its own, outside the checkout."""
    return subprocess.run(
        [sys.executable, "-m", "rt_seg", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )


def _errors_of_stream(root: type[RtSegError] = RtSegError) -> Iterator[type[RtSegError]]:
    """The errors that `stream` ends with; the others concern training data and extras that it never imports."""
    for error in root.__subclasses__():
        if error.__module__ == RtSegError.__module__ and error not in (DataError, MissingDependencyError):
            if "exit_code" in vars(error):
                yield error
            yield from _errors_of_stream(error)


def test_help_names_the_commands() -> None:
    """`--help` and `-h` say what there is to do."""
    assert "stream" in _answer("--help")
    assert _answer("--help") == _answer("-h")


def test_version_is_the_installed_one() -> None:
    """`--version` prints the distribution's version and nothing else."""
    assert _answer("--version") == f"rt-seg {version('rt-seg')}"


def test_help_of_stream_names_every_exit_code() -> None:
    """A script can learn from `stream --help` what each of its exit codes means."""
    codes = _answer("stream", "--help").partition("Exit codes:")[2]
    named = {int(code) for code in re.findall(r"\b(\d+) [a-z]", codes)}
    assert named >= {0, 2, 130, 143} | {error.exit_code for error in _errors_of_stream()}


def test_wrong_option_is_a_wrong_command_line() -> None:
    """An unknown option ends with 2, as on every command line."""
    assert CliRunner().invoke(app, ["stream", "demo", "--no-such-option"]).exit_code == 2


def test_error_is_one_line_and_its_exit_code(tmp_path: Path) -> None:
    """An error on purpose shows no traceback: one line names the file, and the exit code is the documented one."""
    ended = _run(tmp_path, "stream", "missing.mp4", "-o", "out.mp4")
    assert ended.returncode == 3
    assert ended.stdout == ""
    assert ended.stderr.startswith("rt-seg: ")
    assert ended.stderr.count("\n") == 1
    assert "missing.mp4" in ended.stderr
    assert list(tmp_path.iterdir()) == []


_INTERRUPTED = """
import importlib.abc, os, signal, sys

class Interrupting(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "typer":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
from rt_seg.__main__ import main
main()
"""


def test_ctrl_c_while_it_is_loaded_shows_no_traceback(tmp_path: Path) -> None:
    """Before there is anything to finish, it ends by the signal itself, which shells show as 130."""
    ended = subprocess.run(
        [sys.executable, "-c", _INTERRUPTED, "--help"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (-signal.SIGINT, "", "")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--version"],
        ["stream", "--help"],
        ["stream", "demo", "--limit", "3"],
        ["stream", "demo", "--limit", "3", "--json"],
    ],
    ids=["version", "help", "summary", "json"],
)
def test_a_full_disk_behind_standard_output_is_one_line_and_exit_code_7(arguments: list[str]) -> None:
    """What was asked for is not there, so that it is no success; nothing else went wrong, so that there is one line."""
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "rt_seg", *arguments], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert ended.returncode == 7, ended.stderr
    assert ended.stderr.splitlines()[-1].startswith("rt-seg: standard output cannot be written: the disk is full")
    assert ended.stderr.count("standard output") == 1
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("arguments", [["--version"], ["stream", "demo", "--limit", "3"]], ids=["version", "summary"])
def test_a_reader_that_has_left_is_no_error(arguments: list[str]) -> None:
    """Neither one of standard output nor one of standard error, where progress is told before the work is done."""
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run([sys.executable, "-m", "rt_seg", *arguments], stdout=writing, stderr=writing, check=False)
    os.close(writing)
    assert ended.returncode == 0


def test_an_error_that_nobody_can_read_keeps_its_exit_code() -> None:
    """Standard error is a full disk: there is no line, and the exit code says it all the same."""
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        command = [sys.executable, "-m", "rt_seg", "stream", "missing.mp4"]
        assert subprocess.run(command, stderr=full, check=False).returncode == 3


_NEXT_FILE = """
import os, sys
from rt_seg.standard_streams import open_closed_streams
open_closed_streams()
number = os.open(os.devnull, os.O_RDONLY)
print("a line")
print("a line", file=sys.stderr, flush=True)
os._exit(number if sys.stdin.read() == "" else 99)
"""


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_no_file_takes_the_place_of_a_closed_standard_stream(closed: tuple[int, ...]) -> None:
    """Else a library's message would be written into it. All three can be used, and lead nowhere."""

    def close() -> None:
        for number in closed:
            os.close(number)

    ended = subprocess.run([sys.executable, "-c", _NEXT_FILE], stdin=subprocess.DEVNULL, preexec_fn=close, check=False)
    assert ended.returncode == 3


@pytest.mark.parametrize("closed", [1, 2])
def test_a_closed_standard_stream_does_not_fail_a_run(closed: int) -> None:
    """`rt-seg stream ... 2>&-`: what would be said there is not, and the exit code is as usual."""
    command = [sys.executable, "-m", "rt_seg", "stream", "demo", "--limit", "3", "--json"]
    ended = subprocess.run(command, capture_output=True, text=True, preexec_fn=partial(os.close, closed), check=False)
    assert ended.returncode == 0, ended.stderr
    assert (ended.stdout == "") == (closed == 1)
    assert "Traceback" not in ended.stderr


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    """With `--debug` the same error comes with the way it took."""
    ended = _run(tmp_path, "--debug", "stream", "missing.mp4")
    assert ended.returncode != 0
    assert "Traceback (most recent call last)" in ended.stderr
    assert "rt_seg.errors.SourceError" in ended.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["stream", "--help"], ["build-engine", "--help"], ["--version"]])
def test_help_imports_no_heavy_library(arguments: list[str], tmp_path: Path) -> None:
    """The command line answers at once: nothing that decodes, computes or trains is imported before it is needed."""
    program = _LIST_IMPORTS.format(arguments=arguments)
    ended = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert _HEAVY.isdisjoint(ended.stderr.split())


def test_import_of_the_package_imports_no_heavy_library(tmp_path: Path) -> None:
    """`import rt_seg` costs nothing; each public name is found when it is asked for."""
    program = "import rt_seg, sys; print(*sys.modules); [getattr(rt_seg, name) for name in rt_seg.__all__]"
    ended = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert _HEAVY.isdisjoint(ended.stdout.split())
