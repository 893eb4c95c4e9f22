"""`rt-seg stream` from end to end: real video in, real engine, real files out."""

import json
import signal
import subprocess
import sys
import threading
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest
from typer.testing import CliRunner, Result

from rt_seg.benchmarks.clips import loop_clip
from rt_seg.cli import app
from rt_seg.engines.masks import iou
from rt_seg.realtime.sources.open import open_source

UInt8Array = npt.NDArray[np.uint8]
WIDTH, HEIGHT, FRAMES, FPS = 320, 240, 40, Fraction(30000, 1001)


def disc_centre(index: int) -> tuple[int, int]:
    """Where the red disc of the test clip is in a frame."""
    return 80 + 4 * index, 120


def disc_picture(index: int) -> UInt8Array:
    """A red disc on green: what the tiny model, whose probability is the red channel, sees as a polyp."""
    picture = np.full((HEIGHT, WIDTH, 3), (60, 110, 0), np.uint8)
    return np.asarray(cv2.circle(picture, disc_centre(index), 30, (0, 0, 255), -1), np.uint8)


def disc_mask(index: int) -> UInt8Array:
    """The same disc as a mask of 0 and 255."""
    return np.asarray(cv2.circle(np.zeros((HEIGHT, WIDTH), np.uint8), disc_centre(index), 30, 255, -1), np.uint8)


def write_clip(path: Path, frames: int = FRAMES) -> Path:
    """A 29.97 fps H.264 clip of the moving disc."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"crf": "10", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for index in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(disc_picture(index), format="bgr24")))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The disc clip; read-only."""
    return write_clip(tmp_path_factory.mktemp("clip") / "disc.mp4")


def rt_seg(*arguments: object) -> Result:
    """Run the command line in this process."""
    return CliRunner().invoke(app, ["stream", *map(str, arguments)])


def video_times(path: Path) -> list[float]:
    """Presentation time of each frame in seconds, by a decoder of its own."""
    with av.open(str(path)) as container:
        return [float(frame.time) for frame in container.decode(video=0)]


def lines_of(path: Path) -> list[dict[str, Any]]:
    """The records of a results file, header first."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_clip_becomes_overlay_results_and_masks(clip: Path, tiny_model_path: Path, tmp_path: Path) -> None:
    """Each frame comes out once in every output, at its own time, with the polyp where the disc is."""
    output, results, masks = tmp_path / "out.mp4", tmp_path / "out.jsonl", tmp_path / "masks"
    run = rt_seg(
        clip,
        "--engine",
        tiny_model_path,
        "-o",
        output,
        "--results",
        results,
        "--masks",
        masks,
        "--json",
        "--roi",
        "full",
        "--stabilise",
        "off",
        "--min-frames",
        "1/1",
    )
    assert run.exit_code == 0, run.stderr
    summary = json.loads(run.stdout)
    assert (summary["frames_in"], summary["frames_out"], summary["frames_with_polyps"]) == (FRAMES, FRAMES, FRAMES)
    assert (summary["dropped"], summary["ended_by"], summary["error"]) == ({}, "end", None)
    assert summary["outputs"] == {"record": str(output), "results": str(results), "masks": str(masks)}
    assert {"capture", "preprocess", "infer", "overlay", "record", "results", "masks"} == summary["stages_ms"].keys()
    assert set(summary["video_delay_ms"]) == {"p50", "p90", "p99", "max"}
    assert video_times(output) == video_times(clip)

    header, *records = lines_of(results)
    assert header["model"]["name"] == "tiny"
    assert [record["index"] for record in records] == list(range(FRAMES))
    assert [record["pts_seconds"] for record in records] == pytest.approx(video_times(clip), abs=1e-9)
    for record in records:
        (polyp,) = record["polyps"]
        x, y, width, height = polyp["box"]
        centre = disc_centre(record["index"])
        assert abs(x + width / 2 - centre[0]) < 6
        assert abs(y + height / 2 - centre[1]) < 6
        assert polyp["area_px"] == pytest.approx(np.pi * 30**2, rel=0.1)

    written = sorted(masks.iterdir())
    assert [path.name for path in written] == [f"{index:06d}.png" for index in range(FRAMES)]
    for index in (0, FRAMES // 2, FRAMES - 1):
        mask = np.asarray(cv2.imread(str(written[index]), cv2.IMREAD_UNCHANGED), np.uint8)
        assert mask.shape == (HEIGHT, WIDTH)
        assert float(iou(mask, disc_mask(index))) > 0.9


def test_the_overlay_changes_the_outline_and_nothing_else(clip: Path, tiny_model_path: Path, tmp_path: Path) -> None:
    """In the recording the outline of the disc has the overlay's colour; far from it the picture is the source's."""
    output = tmp_path / "out.mp4"
    run = rt_seg(clip, "--engine", tiny_model_path, "-o", output, "--no-hud", "--roi", "full", "--stabilise", "off")
    assert run.exit_code == 0, run.stderr
    with av.open(str(output)) as container:
        recorded = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    for index in (0, 20, 39):
        difference = np.abs(recorded[index].astype(int) - disc_picture(index)).max(axis=2)
        distance = cv2.distanceTransform(255 - cv2.Canny(disc_mask(index), 50, 150), cv2.DIST_L2, 5)
        assert difference[distance < 1].mean() > 60
        assert np.percentile(difference[distance > 16], 99) < 12


def test_a_part_of_a_video_starts_its_recording_at_zero(clip: Path, tiny_model_path: Path, tmp_path: Path) -> None:
    """--start and --limit choose the part; results keep the stream's time, the recording begins at 0."""
    output, results = tmp_path / "out.mp4", tmp_path / "out.jsonl"
    run = rt_seg(clip, "--engine", tiny_model_path, "-o", output, "--results", results, "--start", 0.5, "--limit", 10)
    assert run.exit_code == 0, run.stderr
    source_times = [time for time in video_times(clip) if time >= 0.5][:10]
    assert [record["pts_seconds"] for record in lines_of(results)[1:]] == pytest.approx(source_times, abs=1e-6)
    assert video_times(output) == pytest.approx([time - source_times[0] for time in source_times], abs=1e-6)


def test_the_summary_for_a_person_names_counts_and_files(clip: Path, tiny_model_path: Path, tmp_path: Path) -> None:
    """Without --json the closing summary says how many frames came through and what was written."""
    output = tmp_path / "out.mp4"
    run = rt_seg(clip, "--engine", tiny_model_path, "-o", output)
    assert f"{FRAMES} frames in, {FRAMES} out" in run.stdout
    assert str(output) in run.stdout.replace("\n", "")
    assert "tiny.onnx" not in run.stdout


def test_the_summary_speaks_of_one_frame_as_one(clip: Path, tiny_model_path: Path) -> None:
    """One is one frame, not frames; who asked for nothing to be written learns how to."""
    run = rt_seg(clip, "--engine", tiny_model_path, "--live", "--limit", 1, "--no-show")
    assert "1 frame in, 1 out" in run.stdout
    assert "1 frames" not in run.stdout  # of a state, neither
    assert "nothing was written; add -o overlay.mp4" in run.stdout


def test_who_asked_for_a_recording_is_not_told_to_ask_for_one(tiny_model_path: Path, tmp_path: Path) -> None:
    """Where nothing could be written, as with --redact on black pictures, the summary says that and no more."""
    black, output = tmp_path / "black.mp4", tmp_path / "out.mp4"
    with av.open(str(black), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for _ in range(2):
            picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode())
    run = rt_seg(black, "--engine", tiny_model_path, "--redact", "-o", output)
    assert run.exit_code == 0, run.stderr
    assert run.stdout.splitlines()[-1] == "nothing was written"
    assert not output.exists()


def test_a_truncated_video_keeps_what_was_decoded(tiny_model_path: Path, tmp_path: Path) -> None:
    """A file cut midway gives its decodable frames in a whole recording, one line with the time, and exit code 4."""
    whole = write_clip(tmp_path / "whole.ts", 200)
    cut, output = tmp_path / "cut.mp4", tmp_path / "out.mp4"
    with av.open(str(whole)) as source, av.open(str(cut), "w", options={"movflags": "faststart"}) as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    data = cut.read_bytes()
    cut.write_bytes(data[: len(data) // 2])
    run = rt_seg(cut, "--engine", tiny_model_path, "-o", output, "--json")
    assert run.exit_code == 4, run.stderr
    assert "breaks off at" in run.stderr
    summary = json.loads(run.stdout)
    assert 0 < summary["frames_out"] < 200
    assert len(video_times(output)) == summary["frames_out"]
    assert summary["ended_by"] == "error"


@pytest.mark.slow
@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_it_like_the_end_of_the_video(
    number: signal.Signals, exit_code: int, clip: Path, tiny_model_path: Path, tmp_path: Path
) -> None:
    """Ctrl-C, SIGTERM and a closed terminal midway leave whole, playable files that agree with the summary."""
    long_clip = loop_clip(clip, tmp_path / "long.mp4", 20_000)
    output, results = tmp_path / "out.mp4", tmp_path / "out.jsonl"
    command = [sys.executable, "-m", "rt_seg", "stream", str(long_clip), "--engine", str(tiny_model_path)]
    command += ["-o", str(output), "--results", str(results), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        written = threading.Event()
        watcher = threading.Thread(target=_wait_for_lines, args=(results, 50, process, written))
        watcher.start()
        assert written.wait(60)
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=30)
        watcher.join()
    assert process.returncode == exit_code, stderr
    summary = json.loads(stdout)
    assert summary["ended_by"] == "signal"
    assert 50 <= summary["frames_out"] < 20_000
    assert len(video_times(output)) == len(lines_of(results)) - 1 == summary["frames_out"]
    assert summary["frames_in"] == summary["frames_out"]


@pytest.mark.slow
def test_a_kill_loses_about_a_second(clip: Path, tiny_model_path: Path, tmp_path: Path) -> None:
    """After SIGKILL midway the recording plays up to the last second before it, and the results hold whole lines."""
    long_clip = loop_clip(clip, tmp_path / "long.mp4", 20_000)
    output, results = tmp_path / "out.mp4", tmp_path / "out.jsonl"
    command = [sys.executable, "-m", "rt_seg", "stream", str(long_clip), "--engine", str(tiny_model_path)]
    command += ["-o", str(output), "--results", str(results)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        written = threading.Event()
        watcher = threading.Thread(target=_wait_for_lines, args=(results, 100, process, written))
        watcher.start()
        assert written.wait(60)
        process.kill()
        process.communicate(timeout=30)
        watcher.join()
    segmented = len(lines_of(results)) - 1
    times = video_times(output)
    assert times == pytest.approx([float(index / FPS) for index in range(len(times))], abs=1e-9)
    assert len(times) >= segmented - 30 - 10  # a second, and what the two outputs and the encoder were apart


def _wait_for_lines(path: Path, count: int, process: "subprocess.Popen[str]", written: threading.Event) -> None:
    """Set the event once a growing file has so many lines; gives up when the process ends."""
    while process.poll() is None:
        if path.exists() and path.read_bytes().count(b"\n") >= count:
            written.set()
            return
        written.wait(0.02)


@pytest.mark.slow
def test_the_packaged_demo_runs_with_the_packaged_model(tmp_path: Path) -> None:
    """`rt-seg stream demo` without any option sees polyps where the demo's masks say that they are."""
    run = rt_seg("demo", "-o", tmp_path / "out.mp4", "--json")
    assert run.exit_code == 0, run.stderr
    summary = json.loads(run.stdout)
    source = open_source("demo")
    assert summary["frames_in"] == summary["frames_out"] == sum(1 for _ in source)
    source.close()
    assert summary["frames_with_polyps"] > 0
