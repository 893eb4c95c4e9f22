"""What `rt-seg stream` does with what it cannot use: one line, its exit code, no hang, no half file."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import onnx
import pytest
from typer.testing import CliRunner

from rt_seg.cli import app

pytestmark = pytest.mark.slow  # most of them run a whole process or stream

WriteClip = Callable[..., Path]
Arguments = list[object]
MakeArguments = Callable[[Path, Path, Path], Arguments]

FRAMES = 60
LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)), resource.RLIM_INFINITY))
from rt_seg.cli import run
run()
"""
# a first run, which is refused, imports everything: that user may not read the packages
AS_NOBODY = """
import os, sys
from typer.testing import CliRunner
from rt_seg.cli import app
del sys.argv[1]
CliRunner().invoke(app, [sys.argv[1], sys.argv[2], "-o", "/nowhere/out.mp4"])
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
app()
"""


# Each makes its case in a folder that holds `clip.mp4` and a model, both fit for use, and returns the arguments.


def _no_file(folder: Path, _clip: Path, _model: Path) -> Arguments:
    return [folder / "missing.mp4"]


def _empty_file(folder: Path, _clip: Path, _model: Path) -> Arguments:
    (folder / "empty.mp4").touch()
    return [folder / "empty.mp4"]


def _folder_without_images(folder: Path, _clip: Path, _model: Path) -> Arguments:
    (folder / "folder").mkdir()
    (folder / "folder" / "notes.txt").write_text("text")
    return [folder / "folder"]


def _pattern_without_match(folder: Path, _clip: Path, _model: Path) -> Arguments:
    return [folder / "*.png"]


def _text(folder: Path, _clip: Path, _model: Path) -> Arguments:
    (folder / "text.mp4").write_text("not a video\n" * 100)
    return [folder / "text.mp4"]


def _text_that_is_a_picture(folder: Path, _clip: Path, _model: Path) -> Arguments:
    (folder / "text.png").write_text("not a picture")
    return [folder / "text.png"]


def _no_frames(folder: Path, _clip: Path, _model: Path) -> Arguments:
    with av.open(str(folder / "bare.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.start_encoding()
    return [folder / "bare.mkv"]


def _no_track(folder: Path, _clip: Path, _model: Path) -> Arguments:
    with av.open(str(folder / "bare.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.start_encoding()
    return [folder / "bare.mp4"]


def _only_sound(folder: Path, _clip: Path, _model: Path) -> Arguments:
    with av.open(str(folder / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=48_000)
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 48_000), np.float32), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, 0, Fraction(1, 48_000)
        container.mux([*stream.encode(frame), *stream.encode(None)])
    return [folder / "sound.mp4"]


def _without_its_index(folder: Path, clip: Path, _model: Path) -> Arguments:
    (folder / "cut.mp4").write_bytes(clip.read_bytes()[:-1000])
    return [folder / "cut.mp4"]


def _no_camera(_folder: Path, _clip: Path, _model: Path) -> Arguments:
    return ["99"]


def _no_camera_device(_folder: Path, _clip: Path, _model: Path) -> Arguments:
    return ["/dev/video99"]


def _http_refuses(_folder: Path, _clip: Path, _model: Path) -> Arguments:
    return ["http://user:secret@127.0.0.1:1/video.ts"]


def _rtsp_refuses(_folder: Path, _clip: Path, _model: Path) -> Arguments:
    return ["rtsp://user:secret@127.0.0.1:1/video?token=secret"]


def _unknown_scheme(_folder: Path, _clip: Path, _model: Path) -> Arguments:
    return ["gopher://127.0.0.1/video"]


def _start_behind_the_end(_folder: Path, clip: Path, _model: Path) -> Arguments:
    return [clip, "--start", "9999"]


def _no_model(folder: Path, clip: Path, _model: Path) -> Arguments:
    return [clip, "--engine", folder / "missing.onnx"]


def _not_a_model(folder: Path, clip: Path, _model: Path) -> Arguments:
    (folder / "text.onnx").write_bytes(b"not a model")
    return [clip, "--engine", folder / "text.onnx"]


def _cut_model(folder: Path, clip: Path, model: Path) -> Arguments:
    (folder / "cut.onnx").write_bytes(model.read_bytes()[:-200])
    return [clip, "--engine", folder / "cut.onnx"]


def _model_without_spec(folder: Path, clip: Path, model: Path) -> Arguments:
    graph = onnx.load(str(model))
    del graph.metadata_props[:]
    (folder / "foreign.onnx").write_bytes(graph.SerializeToString())
    return [clip, "--engine", folder / "foreign.onnx"]


def _model_of_another_schema(folder: Path, clip: Path, model: Path) -> Arguments:
    graph = onnx.load(str(model))
    spec = json.loads(graph.metadata_props[0].value)
    graph.metadata_props[0].value = json.dumps(spec | {"schema_version": 99})
    (folder / "future.onnx").write_bytes(graph.SerializeToString())
    return [clip, "--engine", folder / "future.onnx"]


def _engine_of_another_version(folder: Path, clip: Path, _model: Path) -> Arguments:
    (folder / "gpu.engine").write_bytes(b"ftrt")
    return [clip, "--engine", folder / "gpu.engine"]


def _output_in_no_folder(folder: Path, clip: Path, _model: Path) -> Arguments:
    return [clip, "-o", folder / "absent" / "out.mp4"]


def _output_is_a_folder(folder: Path, clip: Path, _model: Path) -> Arguments:
    (folder / "folder.mp4").mkdir()
    return [clip, "-o", folder / "folder.mp4"]


def _output_of_another_kind(folder: Path, clip: Path, _model: Path) -> Arguments:
    return [clip, "-o", folder / "out.avi"]


def _output_is_the_input(_folder: Path, clip: Path, _model: Path) -> Arguments:
    return [clip, "-o", clip]


def _output_links_to_the_input(folder: Path, clip: Path, _model: Path) -> Arguments:
    (folder / "link.mp4").symlink_to(clip)
    return [clip, "-o", folder / "link.mp4"]


def _output_is_the_input_by_another_name(folder: Path, clip: Path, _model: Path) -> Arguments:
    (folder / "other.mp4").hardlink_to(clip)
    return [clip, "-o", folder / "other.mp4"]


def _results_link_to_the_input(folder: Path, clip: Path, _model: Path) -> Arguments:
    (folder / "link.jsonl").symlink_to(clip)
    return [clip, "--results", folder / "link.jsonl"]


def _masks_into_the_images(folder: Path, _clip: Path, _model: Path) -> Arguments:
    (folder / "frames").mkdir()
    sample = Path(__file__).parents[2] / "engines" / "samples" / "731OLCV1_100H0008.jpg"
    shutil.copy(sample, folder / "frames" / "a.jpg")
    return [folder / "frames", "--masks", folder / "frames"]


def _results_are_the_output(folder: Path, clip: Path, _model: Path) -> Arguments:
    return [clip, "-o", folder / "out.mp4", "--results", folder / "out.mp4"]


def _masks_are_the_output(folder: Path, clip: Path, _model: Path) -> Arguments:
    return [clip, "-o", folder / "out.mp4", "--masks", folder / "out.mp4"]


def _region_of_three_numbers(_folder: Path, clip: Path, _model: Path) -> Arguments:
    return [clip, "--roi", "1,2,3"]


def _region_outside(_folder: Path, clip: Path, _model: Path) -> Arguments:
    return [clip, "--roi", "1000,1000,50,50"]


REFUSED: list[tuple[MakeArguments, int, str]] = [
    (_no_file, 3, "no such file"),
    (_empty_file, 3, "the file is empty"),
    (_folder_without_images, 3, "a folder without images"),
    (_pattern_without_match, 3, "matches no image"),
    (_text, 3, "not a video"),
    (_text_that_is_a_picture, 3, "not a picture"),
    (_no_frames, 3, "it ends before the first picture"),
    (_no_track, 3, "it holds no picture"),
    (_only_sound, 3, "it holds only audio"),
    (_without_its_index, 3, "its index"),
    (_no_camera, 3, "camera 99: cannot be opened"),
    (_no_camera_device, 3, "camera /dev/video99: cannot be opened"),
    (_http_refuses, 3, "http://127.0.0.1:1/video.ts: cannot be opened"),
    (_rtsp_refuses, 3, "rtsp://127.0.0.1:1/video: cannot be opened"),
    (_unknown_scheme, 3, "gopher:// is not supported"),
    (_start_behind_the_end, 3, "it ends at 2.40 s"),
    (_no_model, 5, "there is no such model file"),
    (_not_a_model, 5, "text.onnx: "),
    (_cut_model, 5, "cut.onnx: "),
    (_model_without_spec, 5, "foreign.onnx: "),
    (_model_of_another_schema, 5, "future.onnx: "),
    (_engine_of_another_version, 5, "gpu.engine: "),
    (_output_in_no_folder, 7, "does not exist; create it first"),
    (_output_is_a_folder, 7, "is a folder"),
    (_output_of_another_kind, 7, "give a name that ends in .mp4"),
    (_output_is_the_input, 7, "is the input itself"),
    (_output_links_to_the_input, 7, "is the input itself"),
    (_output_is_the_input_by_another_name, 7, "is the input itself"),
    (_results_link_to_the_input, 7, "is the input itself"),
    (_masks_into_the_images, 7, "is the input folder"),
    (_results_are_the_output, 7, "is given for two outputs"),
    (_masks_are_the_output, 7, "is given for two outputs"),
    (_region_of_three_numbers, 2, "1,2,3"),
    (_region_outside, 2, "1000,1000,50,50"),
]


@pytest.fixture
def clip(write_clip: WriteClip, tmp_path: Path) -> Path:
    """A whole clip of 2.4 seconds."""
    return write_clip(tmp_path / "clip.mp4", frames=FRAMES, options={"bf": "0", "g": "10"})


@pytest.fixture
def model(tiny_model_path: Path, tmp_path: Path) -> Path:
    """A fit model beside it."""
    return Path(shutil.copy(tiny_model_path, tmp_path / "model.onnx"))


def contents(folder: Path) -> dict[Path, bytes | None]:
    """Everything in a folder."""
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.mark.parametrize(("make", "exit_code", "reason"), REFUSED, ids=[make.__name__[1:] for make, *_ in REFUSED])
def test_it_is_refused_with_one_line_and_nothing_is_left(
    make: MakeArguments,
    exit_code: int,
    reason: str,
    clip: Path,
    model: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """One line says what is wrong and where, nothing is written or changed, no secret shown, no library talks."""
    arguments = make(tmp_path, clip, model)
    before = contents(tmp_path)
    defaults = {"--engine": model, "-o": tmp_path / "out.mp4", "--results": tmp_path / "out.jsonl"}
    for name, value in defaults.items():
        if name not in arguments:
            arguments += [name, value]
    ended = CliRunner().invoke(app, ["stream", *map(str, arguments)])
    assert (ended.exit_code, ended.stdout) == (exit_code, "")
    assert ended.stderr.startswith("rt-seg: ")
    assert ended.stderr.count("\n") == 1
    assert reason in ended.stderr
    assert "secret" not in ended.stderr
    assert contents(tmp_path) == before
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "option",
    [
        ["--limit", "0"],
        ["--start", "-1"],
        ["--start", "inf"],
        ["--duration", "0"],
        ["--duration", "nan"],
        ["--overlay", "blink"],
        ["--alpha", "2"],
    ],
)
def test_an_impossible_value_is_a_wrong_command_line(option: list[str], tmp_path: Path) -> None:
    """What no source could have ends with 2 and the option's name, before anything is opened."""
    ended = CliRunner().invoke(app, ["stream", str(tmp_path / "missing.mp4"), *option])
    assert ended.exit_code == 2
    assert option[0] in ended.stderr


def run(*arguments: object, program: str, limit: int = 0) -> "subprocess.CompletedProcess[str]":
    """`rt-seg stream ARGUMENTS` in a process of its own, under a file size limit or as another user."""
    command = [sys.executable, "-c", program, str(limit), "stream", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def frames_in(path: Path) -> int:
    """Pictures of a file that can be decoded."""
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def records_in(path: Path) -> list[dict[str, Any]]:
    """All lines of a results file, each of which must be whole."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]


def test_who_may_not_write_is_told_so(clip: Path, model: Path, tmp_path: Path) -> None:
    """A folder or file without permission is refused at once (as another user where this one may do anything)."""
    for parent in [tmp_path, *tmp_path.parents][:3]:
        parent.chmod(parent.stat().st_mode | 0o555)
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)
    ended = run(clip, "--engine", model, "-o", locked / "out.mp4", program=AS_NOBODY)
    assert (ended.returncode, ended.stdout) == (7, "")
    assert "no permission to write in" in ended.stderr
    assert ended.stderr.count("\n") == 1


@pytest.fixture
def noisy_clip(write_clip: WriteClip, tmp_path: Path) -> Path:
    """Some two seconds whose recording takes some 20 kB a frame."""
    noise = np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8)
    pictures = [np.roll(noise, 3 * number, 1) for number in range(45)]
    return write_clip(tmp_path / "noise.mp4", width=320, height=240, pictures=pictures, options={"qp": "30"})


def test_a_disk_that_fills_up_ends_the_recording(noisy_clip: Path, model: Path, tmp_path: Path) -> None:
    """Exit code 7 and one line at the end; what was written plays, and the summary agrees with the other files."""
    output, results = tmp_path / "out.mp4", tmp_path / "out.jsonl"
    arguments = [noisy_clip, "--engine", model, "-o", output, "--results", results, "--json", "--overlay", "none"]
    ended = run(*arguments, program=LIMITED, limit=700_000)
    assert ended.returncode == 7, ended.stderr
    assert ended.stderr.splitlines()[-1].startswith(f"rt-seg: {output}: it reached the largest size allowed")
    assert "Traceback" not in ended.stderr
    summary = json.loads(ended.stdout)
    assert summary["ended_by"] == "error"
    assert frames_in(output) >= 20
    assert frames_in(output) + summary["dropped"]["record stopped"] == summary["frames_out"]
    assert len(records_in(results)) - 1 <= summary["frames_out"]


def test_a_disk_full_from_the_start_leaves_nothing(clip: Path, model: Path, tmp_path: Path) -> None:
    """A recording of which nothing plays is taken away, and not among the outputs; the end is an orderly one.

    Twice: the packaged model is slow enough to be still at work when the process ends.
    """
    for engine in (model, "cpu"):
        ended = run(clip, "--engine", engine, "-o", tmp_path / "out.mp4", "--json", program=LIMITED, limit=1000)
        assert ended.returncode == 7, ended.stderr
        assert "it reached the largest size allowed" in ended.stderr.splitlines()[-1]
        assert json.loads(ended.stdout)["outputs"] == {}
        assert not (tmp_path / "out.mp4").exists()


def test_a_full_disk_leaves_whole_lines(clip: Path, model: Path, tmp_path: Path) -> None:
    """Of the results each line is whole, the last one that fitted included."""
    results = tmp_path / "out.jsonl"
    ended = run(clip, "--engine", model, "--results", results, program=LIMITED, limit=6000)
    assert ended.returncode == 7, ended.stderr
    assert f"rt-seg: {results}: it reached the largest size allowed" in ended.stderr
    assert 1 < len(records_in(results)) < FRAMES


@pytest.mark.parametrize("options", [[], ["--live"]], ids=["file", "live"])
def test_events_that_cannot_be_written_are_no_success(
    options: list[str], clip: Path, model: Path, tmp_path: Path
) -> None:
    """Not even the header fits: exit code 7 and one line, however early that was."""
    events = tmp_path / "events.jsonl"
    ended = run(clip, "--engine", model, "--events", events, "--json", *options, program=LIMITED, limit=10)
    assert ended.returncode == 7, ended.stderr
    assert f"rt-seg: {events}: it reached the largest size allowed" in ended.stderr
    assert json.loads(ended.stdout)["dropped"].get("events stopped", 0) >= (options == ["--live"])


def test_a_full_disk_leaves_no_half_mask(clip: Path, model: Path, tmp_path: Path) -> None:
    """A mask that does not fit is taken away again."""
    ended = run(clip, "--engine", model, "--masks", tmp_path / "masks", program=LIMITED, limit=60)
    assert ended.returncode == 7, ended.stderr
    assert "it reached the largest size allowed" in ended.stderr
    assert list((tmp_path / "masks").iterdir()) == []


def test_a_decoder_error_midway_keeps_what_was_before(clip: Path, model: Path, tmp_path: Path) -> None:
    """The line says at which time and frame; recording and results end there, whole; exit code 4."""
    with av.open(str(clip)) as container:
        position = [packet.pos for packet in container.demux(video=0)][35]
    data = bytearray(clip.read_bytes())
    assert position is not None
    data[position : position + 4] = (0x7FFFFFFF).to_bytes(4)  # the length of a slice, far too long
    clip.write_bytes(data)
    output, results = tmp_path / "out.mp4", tmp_path / "out.jsonl"
    arguments = ["stream", clip, "--engine", model, "-o", output, "--results", results, "--json"]
    ended = CliRunner().invoke(app, list(map(str, arguments)))
    assert ended.exit_code == 4, ended.stderr
    last = ended.stderr.splitlines()[-1]
    assert last.startswith(f"rt-seg: {clip}: breaks off at 1.40 s (frame 35): the video data is damaged")
    summary = json.loads(ended.stdout)
    assert (summary["frames_in"], summary["frames_out"], summary["ended_by"]) == (35, 35, "error")
    assert summary["error"] in last
    assert frames_in(output) == len(records_in(results)) - 1 == 35
