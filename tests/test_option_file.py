"""Options in a TOML file: every option of a command, its paths, its secrets, and one line for what is wrong."""

from pathlib import Path
from typing import Annotated, Any, Literal, cast

import pytest
import typer

from rt_seg.errors import DataError, InputError, OutputError
from rt_seg.option_file import FileUnless, apply_options, save_options


def _config(context: typer.Context, path: Path | None) -> Path | None:
    if path is not None:
        apply_options(context, path)
    return path


def _play(
    source: str,
    loud: Annotated[bool, typer.Option("--loud/--quiet")] = False,
    speed: Annotated[float, typer.Option(min=0.5, max=2.0)] = 1.0,
    times: int = 1,
    model: Annotated[str, FileUnless(lambda text: text == "auto")] = "auto",
    kind: Literal["film", "still"] = "film",
    into: Path | None = None,
    logs: Annotated[list[Path] | None, typer.Option()] = None,
    as_json: Annotated[bool, typer.Option("--json")] = False,
    access_token: str | None = None,
    code: Annotated[str | None, typer.Option(hide_input=True)] = None,
    config: Annotated[Path | None, typer.Option(is_eager=True, callback=_config)] = None,
) -> None:
    """Stand in for a command of rt-seg."""


_app = typer.Typer(add_completion=False)
_app.command()(_play)


def _context(*arguments: object) -> typer.Context:
    """The command's context for these arguments, as typer makes it before it calls the command."""
    command = typer.main.get_command(_app)
    return cast("typer.Context", command.make_context("play", [str(argument) for argument in arguments]))


def _read(folder: Path, text: str, *arguments: object, mode: int = 0o600) -> dict[str, Any]:
    """What the command gets from a file with this text."""
    file = folder / "play.toml"
    file.write_text(text, encoding="utf-8")
    file.chmod(mode)
    return _context("--config", file, *arguments).params


def test_a_file_sets_options_and_the_command_line_wins(tmp_path: Path) -> None:
    """Arguments, flags and options come from the file, under their long names with - or _; what is given wins."""
    text = 'source = "a.mp4"\nloud = true\nspeed = 2\njson = true\naccess-token = "t"\nkind = "still"\n'
    params = _read(tmp_path, text, "--quiet", "--kind", "film")
    assert (params["source"], params["loud"], params["speed"], params["as_json"]) == ("a.mp4", False, 2.0, True)
    assert (params["access_token"], params["kind"], params["times"]) == ("t", "film", 1)


def test_paths_are_meant_from_the_folder_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file means the same wherever it is used from; words that are no files stay words."""
    monkeypatch.setenv("HOME", "/somebody")
    text = 'source = "x"\ninto = "out"\nlogs = ["a.log", "~/b.log", "/c.log"]\nmodel = "m.onnx"\n'
    params = _read(tmp_path, text)
    assert (params["into"], params["model"]) == (tmp_path / "out", str(tmp_path / "m.onnx"))
    assert params["logs"] == [tmp_path / "a.log", Path("/somebody/b.log"), Path("/c.log")]
    params = _read(tmp_path, 'source = "x"\nlogs = "only.log"\nmodel = "auto"\n')
    assert (params["logs"], params["model"]) == ([tmp_path / "only.log"], "auto")


def test_a_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    """Editors of Windows begin a file with one."""
    assert _read(tmp_path, '\ufeffsource = "x"\ntimes = 3\n')["times"] == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sped = 1.5", "play has no option sped (did you mean speed?)"),
        ("zzz = 1", "play has no option zzz; see rt-seg play --help"),
        ('config = "x"', "play has no option config"),
        ("[play]\nloud = true", "play has no option play"),
        ('speed = "1.5"', "speed = '1.5': must be a number"),
        ("speed = true", "speed = true: must be a number"),
        ("speed = nan", "speed = nan: must be a number"),
        ("speed = 2.5", "speed = 2.5: must be less than or equal to 2"),
        ("times = 1.5", "times = 1.5: must be a whole number"),
        ("loud = 1", "loud = 1: must be true or false"),
        ('kind = "filn"', 'kind = \'filn\': must be one of "film", "still"'),
        ("source = 3", "source = 3: must be a text in quotes"),
        ('logs = ["a", 1]', "logs = 1: must be a text in quotes, or a list of them"),
        ('into = ""', "into is empty"),
        ('access-token = "a"\naccess_token = "b"', "access_token stands there twice"),
        ("speed = = 1", "cannot be read as TOML"),
        ("access_token = 3", "access_token = ...: must be"),
    ],
)
def test_what_is_wrong_is_one_line_with_file_and_key(text: str, message: str, tmp_path: Path) -> None:
    """Unknown keys, wrong types and wrong values are refused, and no secret is repeated."""
    with pytest.raises(InputError) as caught:
        _read(tmp_path, text, "x")
    assert str(caught.value).startswith(f"{tmp_path / 'play.toml'}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    """A missing file, and a folder, are named; the kind of error is the caller's."""
    with pytest.raises(InputError, match=r"missing\.toml: there is no such file"):
        _context("--config", tmp_path / "missing.toml", "x")
    with pytest.raises(DataError, match="cannot be read"):
        apply_options(_context("x"), tmp_path, error=DataError)


@pytest.mark.parametrize("line", ['access_token = "t"', 'code = "t"', 'source = "rtsp://user:word@host/a"'])
def test_a_secret_that_every_user_can_read_is_refused(line: str, tmp_path: Path) -> None:
    """A secret is taken from a file of its owner and group alone, and never shown."""
    with pytest.raises(InputError, match=r"is a secret.*chmod o=") as caught:
        _read(tmp_path, line, "x", mode=0o644)
    assert "word" not in str(caught.value)
    assert _read(tmp_path, line, *([] if "source" in line else ["x"]), mode=0o640)["source"]


def test_what_was_saved_is_the_same_again_from_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every option that has a value is written, paths absolute, and read back from another folder as it was."""
    monkeypatch.chdir(tmp_path)
    text = 'a "quoted"\\name\t\u00e4 \u2028\U0001f600\x7f'
    given = ["--loud", "--speed", "1.25", "--model", "m.onnx", "--into", "out", "--logs", "a", "--logs", "b", "--json"]
    before = _context(text, *given)
    save_options(before, Path("saved.toml"))
    monkeypatch.chdir("/")
    after = _context("--config", tmp_path / "saved.toml")
    expected = before.params | {
        "model": str(tmp_path / "m.onnx"),
        "into": tmp_path / "out",
        "logs": [tmp_path / "a", tmp_path / "b"],
        "config": tmp_path / "saved.toml",
    }
    assert after.params == expected
    assert after.params["source"] == text


def test_no_secret_is_saved_and_the_file_is_its_owners(tmp_path: Path) -> None:
    """A saved file holds no token, says so, and is readable by its owner alone: an address may hold a password."""
    file = tmp_path / "saved.toml"
    file.write_text("old")
    file.chmod(0o644)
    save_options(_context("rtsp://user:word@host/a", "--access-token", "tok1", "--code", "tok2"), file)
    text = file.read_text(encoding="utf-8")
    assert "tok" not in text.replace("token", "")
    assert "# access_token is a secret" in text
    assert file.stat().st_mode & 0o777 == 0o600
    assert _context("--config", file).params["source"] == "rtsp://user:word@host/a"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(("name", "message"), [("video.mp4", r"ends in \.toml"), ("none/a.toml", "cannot be written")])
def test_a_place_that_cannot_be_written_is_refused(name: str, message: str, tmp_path: Path) -> None:
    """No recording is overwritten by a slip, and a missing folder is one line."""
    with pytest.raises(OutputError, match=message):
        save_options(_context("x"), tmp_path / name)
    assert list(tmp_path.iterdir()) == []
