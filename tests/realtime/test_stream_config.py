"""`rt-seg stream --config` and `--save-config`: every option, from end to end."""

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

import pytest
import typer
from typer.testing import CliRunner

from rt_seg.cli import app
from rt_seg.option_file import save_options
from rt_seg.realtime.command import stream

WriteClip = Callable[..., Path]

_COMMAND = cast("Any", typer.main.get_command(app)).commands["stream"]
_OPTIONS = {item.name: item for item in _COMMAND.params if not item.is_eager}
_SAMPLES = {
    "source": "demo",
    "engine": "/models/own.onnx",
    "roi": "8,8,32,32",
    "min_frames": "3/5",
    "camera_size": "640x480",
    "serve": "127.0.0.1:0",
}  # where any text will not do


def _kind(name: str) -> Any:
    """What an option holds: a type or a ``Literal``, of each of its values where it takes several."""
    hint = get_type_hints(stream)[name]
    while get_origin(hint) in {list, Union, UnionType}:
        hint = next(part for part in get_args(hint) if part is not type(None))
    return hint


def _sample(name: str, folder: Path) -> str:
    """Another value than the default."""
    option, kind = _OPTIONS[name], _kind(name)
    if get_origin(kind) is Literal:
        return next(str(choice) for choice in get_args(kind) if choice != option.default)
    least = getattr(option, "min", None) or 0
    return str({int: least + 3, float: least + 0.5, str: "text"}.get(kind, folder / "file"))


def _arguments(name: str, folder: Path) -> list[str]:
    """Arguments that set an option to something else than its default."""
    option = _OPTIONS[name]
    typed = max(option.opts, key=len)
    if _kind(name) is bool:
        return [typed if option.default is not True else option.secondary_opts[0]]
    value = _SAMPLES.get(name) or _sample(name, folder)
    return [value] if name == "source" else [typed, value]


def _context(*arguments: str) -> typer.Context:
    return cast("typer.Context", _COMMAND.make_context("stream", list(arguments)))


@pytest.mark.parametrize("name", sorted(_OPTIONS))
def test_every_option_survives_the_file(name: str, tmp_path: Path) -> None:
    """Whatever option is set on the command line is the same from the file that was saved; a secret is left out."""
    given = _arguments(name, tmp_path)
    before = _context(*given, *([] if name == "source" else ["demo"]))
    assert name == "source" or before.params[name] != _context("demo").params[name]
    save_options(before, tmp_path / "saved.toml")
    after = _context("--config", str(tmp_path / "saved.toml"))
    expected = before.params | {"config": tmp_path / "saved.toml"}
    if name.endswith("token"):
        expected[name] = None
    assert after.params == expected


@pytest.mark.parametrize("name", [name for name in sorted(_OPTIONS) if _kind(name) is bool])
def test_the_command_line_wins_over_a_switch_in_the_file(name: str, tmp_path: Path) -> None:
    """What a file switches on the command line can switch off, and the other way round."""
    for in_file, typed in ((True, _OPTIONS[name].secondary_opts[0]), (False, _OPTIONS[name].opts[0])):
        (tmp_path / "tower.toml").write_text(f"{name.removesuffix('_summary')} = {str(in_file).lower()}\n")
        context = _context("demo", "--config", str(tmp_path / "tower.toml"), typed)
        assert context.params[name] is not in_file


def test_a_stream_runs_from_its_file(write_clip: WriteClip, tiny_model_path: Path, tmp_path: Path) -> None:
    """A clip runs with what a file says, relative paths meant from the file, and saves what it ran with."""
    folder = tmp_path / "tower"
    folder.mkdir()
    write_clip(folder / "clip.mp4", frames=8)
    (folder / "tower.toml").write_text(
        f'source = "clip.mp4"\nengine = "{tiny_model_path}"\nresults = "found.jsonl"\njson = true\nlimit = 6\n'
    )
    saved = tmp_path / "saved.toml"
    arguments = ["stream", "--config", str(folder / "tower.toml"), "--limit", "4", "--save-config", str(saved)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["frames_out"], summary["outputs"]) == (4, {"results": str(folder / "found.jsonl")})
    values = tomllib.loads(saved.read_text(encoding="utf-8"))
    assert (values["source"], values["limit"], values["hud"]) == (str(folder / "clip.mp4"), 4, True)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("treshold = 0.5", "no option treshold (did you mean threshold?)"),
        ('roi = "left"', "roi 'left' is not auto, full or X,Y,W,H"),
        ('min_frames = "5/3"', "min frames '5/3' is not K/N"),
        ('camera_size = "big"', "camera size 'big' is not WIDTHxHEIGHT"),
        ("duration = -1", "duration = -1: must be a finite number above 0"),
        ("signal_timeout = inf", "signal_timeout = inf: must be a number"),
    ],
)
def test_a_wrong_file_is_one_line(line: str, message: str, tmp_path: Path) -> None:
    """What an option would refuse on the command line is refused with names of file and key, before it runs."""
    file = tmp_path / "wrong.toml"
    file.write_text(line)
    done = CliRunner().invoke(app, ["stream", "demo", "--config", str(file)])
    assert done.exit_code == 2
    assert done.stderr.startswith(f"rt-seg: {file}: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("option", ["--max-staleness", "--signal-timeout"])
def test_a_wait_without_end_is_refused(option: str) -> None:
    """No clock can wait for ever; it is a wrong command line, not a crash later."""
    assert CliRunner().invoke(app, ["stream", "demo", option, "inf"]).exit_code == 2


def test_settings_that_cannot_be_used_are_not_saved(tmp_path: Path) -> None:
    """A file that would only be refused is not written."""
    saved = tmp_path / "saved.toml"
    done = CliRunner().invoke(app, ["stream", "clip.mp4", "--display", "passthrough", "--save-config", str(saved)])
    assert (done.exit_code, saved.exists()) == (2, False)
