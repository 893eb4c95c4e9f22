"""What a stream writes beside its picture: events, snapshots, and all of it redacted where that is asked for."""

import csv
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from fractions import Fraction
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest
from typer.testing import CliRunner, Result

from rt_seg.cli import app
from rt_seg.realtime import witness
from rt_seg.realtime.events import Event, EventLog
from rt_seg.realtime.outputs import without_source
from rt_seg.realtime.scribe import Scribe
from rt_seg.realtime.snapshots import Snapshot, write_snapshot
from rt_seg.realtime.sources.source import SourceInfo

UInt8Array = npt.NDArray[np.uint8]
WIDTH, HEIGHT, FRAMES, FPS = 320, 240, 60, 25
FIELD = slice(20, 220), slice(100, 300)
SEEN = range(15, 40)


def picture(index: int, *, text: bool = False) -> UInt8Array:
    """An endoscope's picture that drifts, with a red disc in some frames, and a name beside the field."""
    noise = np.random.default_rng(3).integers(60, 130, (40, 40, 1), np.uint8)
    large = cv2.resize(noise, (260, 260), interpolation=cv2.INTER_CUBIC)
    out = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    field = out[FIELD]
    field[..., 1] = large[index % 50 : index % 50 + 200, :200]
    field[..., 0] = 60
    if index in SEEN:
        cv2.circle(out, (200, 120), 30, (0, 0, 255), -1)
    if text:
        cv2.putText(out, "DOE", (8, 60), cv2.FONT_HERSHEY_SIMPLEX, 1.0, (255, 255, 255), 2)
    return out


def write_clip(path: Path, *, text: bool = False, dark: int = 0) -> Path:
    """The clip with sound and a title; the first frames may be dark."""
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "Jane Doe"
        stream = container.add_stream("libx264", rate=Fraction(FPS), options={"crf": "8", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        sound = container.add_stream("aac", rate=48_000)
        for index in range(FRAMES):
            image = picture(index, text=text)
            if index < dark:
                image[FIELD] = 0
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode())
        samples = av.AudioFrame.from_ndarray(np.zeros((2, 48_000), np.float32), format="fltp", layout="stereo")
        samples.sample_rate, samples.pts, samples.time_base = 48_000, 0, Fraction(1, 48_000)
        container.mux(sound.encode(samples))
        container.mux(sound.encode(None))
    return path


def rt_seg(*arguments: object) -> Result:
    """Run the command line in this process."""
    return CliRunner().invoke(app, ["stream", *map(str, arguments)])


def test_events_and_snapshots_tell_of_a_sighting(tiny_model_path: Path, tmp_path: Path) -> None:
    """One disc is one sighting: begun and ended in both kinds of file, with its best frame in two pictures."""
    clip, lines, table, folder = (
        write_clip(tmp_path / "c.mp4"),
        tmp_path / "e.jsonl",
        tmp_path / "e.csv",
        tmp_path / "s",
    )
    run = rt_seg(
        clip, "--engine", tiny_model_path, "--events", lines, "--events", table, "--snapshots", folder,
        "--min-frames", "3/5", "--stabilise", "off", "--json",
    )  # fmt: skip
    assert run.exit_code == 0, run.stderr
    header, *events = [json.loads(line) for line in lines.read_text().splitlines()]
    assert header["model"]["name"] == "tiny"
    kinds = [event["kind"] for event in events]
    assert kinds == ["state_changed", "sighting_started", "sighting_ended"]
    started, ended = events[1:]
    assert started["first_seconds"] == pytest.approx(SEEN.start / FPS, abs=1e-3)
    assert started["pts_seconds"] == pytest.approx((SEEN.start + 2) / FPS, abs=1e-3)
    assert ended["last_seconds"] == pytest.approx((SEEN.stop - 1) / FPS, abs=1e-3)
    with table.open(newline="") as file:
        assert [row["kind"] for row in csv.DictReader(file)] == kinds
    plain, overlay = sorted(folder.iterdir())
    assert overlay.name == plain.stem + "_overlay.png"
    assert np.any(cv2.imread(str(plain)) != cv2.imread(str(overlay)))
    summary = json.loads(run.stdout)
    assert summary["sightings"] == 1
    assert summary["activation_delay_ms"]["max"] > 2000 / FPS
    assert summary["outputs"] == {"events": str(lines), "events 2": str(table), "snapshots": str(folder)}


@pytest.fixture
def seen_twice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A clip with two discs, one after the other is long over."""
    monkeypatch.setattr(sys.modules[__name__], "SEEN", {*range(5, 15), *range(40, 50)})
    return write_clip(tmp_path / "twice.mp4")


def kinds_in(path: Path) -> list[str]:
    """The kind of each event."""
    return [json.loads(line)["kind"] for line in path.read_text().splitlines()][1:]


def test_events_do_not_wait_for_snapshots(
    tiny_model_path: Path, tmp_path: Path, seen_twice: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the snapshot of the first sighting is being written, the start of the second is."""
    path, second, in_time = tmp_path / "e.jsonl", threading.Event(), []
    add = EventLog.add

    def added(log: EventLog, event: Event) -> None:
        add(log, event)
        if event.kind == "sighting_started" and event.values["sighting"] == 2:
            second.set()

    def write(folder: Path, snapshot: Snapshot) -> None:
        in_time.append(second.wait(20))
        write_snapshot(folder, snapshot)

    monkeypatch.setattr(EventLog, "add", added)
    monkeypatch.setattr(witness, "write_snapshot", write)
    run = rt_seg(seen_twice, "--engine", tiny_model_path, "--events", path, "--snapshots", tmp_path / "s")
    assert run.exit_code == 0, run.stderr
    assert in_time == [True, True]


def test_at_its_end_a_live_stream_waits_for_what_is_written_slowly(
    tiny_model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The source has ended, nobody asked for anything sooner: events and snapshots are all there."""
    clip, path, waits = write_clip(tmp_path / "c.mp4"), tmp_path / "e.jsonl", threading.Semaphore(0)
    close = Scribe.close

    def closed(scribe: Scribe, timeout: float | None) -> bool:
        waits.release()
        return close(scribe, timeout)

    def write(folder: Path, snapshot: Snapshot) -> None:
        for _ in range(10):
            assert waits.acquire(timeout=20)
        write_snapshot(folder, snapshot)

    monkeypatch.setattr(Scribe, "close", closed)
    monkeypatch.setattr(witness, "write_snapshot", write)
    run = rt_seg(
        clip, "--live", "--display", "aligned", "--engine", tiny_model_path, "--events", path,
        "--snapshots", tmp_path / "s", "--json",
    )  # fmt: skip
    assert run.exit_code == 0, run.stderr
    summary = json.loads(run.stdout)
    assert kinds_in(path).count("sighting_ended") == summary["sightings"] == 1
    assert len(list((tmp_path / "s").iterdir())) == 2
    assert "snapshots" not in summary["dropped"]


def test_a_signal_does_not_wait_for_snapshots_and_what_is_lost_is_told(
    tiny_model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A snapshot that hangs is left behind, and counted, in the events as in the summary; every event is there."""
    clip, path, released = write_clip(tmp_path / "c.mp4"), tmp_path / "e.jsonl", threading.Event()

    def hang(_folder: Path, _snapshot: Snapshot) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        released.wait(60)

    monkeypatch.setattr(witness, "write_snapshot", hang)
    run = rt_seg(
        clip, "--engine", tiny_model_path, "--events", path, "--snapshots", tmp_path / "s", "--json",
    )  # fmt: skip
    released.set()
    assert run.exit_code == 130, run.stderr
    assert "snapshots: the last 1 could not be written in time" in run.stderr
    summary = json.loads(run.stdout)
    assert summary["dropped"] == {"snapshots": 1}
    assert kinds_in(path).count("sighting_ended") == summary["sightings"] == 1
    drops = [event for event in map(json.loads, path.read_text().splitlines()) if event["kind"] == "drops"]
    assert {event["cause"]: event["count"] for event in drops} == summary["dropped"]


def test_a_mask_is_drawn_once_its_sighting_is_active(tiny_model_path: Path, tmp_path: Path) -> None:
    """With --min-frames 3/5 the first two frames of the disc carry no polyp, the others do."""
    clip, results = write_clip(tmp_path / "c.mp4"), tmp_path / "r.jsonl"
    run = rt_seg(clip, "--engine", tiny_model_path, "--results", results, "--min-frames", "3/5", "--stabilise", "off")
    assert run.exit_code == 0, run.stderr
    records = [json.loads(line) for line in results.read_text().splitlines()][1:]
    shown = [record["index"] for record in records if record["polyps"]]
    assert shown == list(range(SEEN.start + 2, SEEN.stop))
    assert {polyp["track_id"] for record in records for polyp in record["polyps"]} == {1}


def test_what_cannot_be_written_is_said_before_the_start(tiny_model_path: Path, tmp_path: Path) -> None:
    """Events with another ending, or snapshots into a file, end it with one line and nothing written."""
    clip = write_clip(tmp_path / "c.mp4")
    for option, path in (("--events", tmp_path / "e.txt"), ("--snapshots", clip)):
        run = rt_seg(clip, "--engine", tiny_model_path, option, path)
        assert run.exit_code == 7, run.output
        assert len(run.stderr.strip().splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["c.mp4"]


def test_a_redacted_stream_names_nobody(tiny_model_path: Path, tmp_path: Path) -> None:
    """Outside the field all is black, the sound and every name are gone, and nothing is let out before it is sure."""
    clip = write_clip(tmp_path / "Doe_Jane.mp4", text=True, dark=5)
    out = tmp_path / "out"
    out.mkdir()
    run = rt_seg(
        clip, "--engine", tiny_model_path, "--redact", "--no-hud", "--json",
        "-o", out / "o.mp4", "--results", out / "r.jsonl", "--events", out / "e.jsonl",
        "--snapshots", out / "s", "--masks", out / "m",
    )  # fmt: skip
    assert run.exit_code == 0, run.stderr
    summary = json.loads(run.stdout)
    assert summary["dropped"] == {"redact": 5}
    assert summary["frames_out"] == FRAMES - 5
    with av.open(str(out / "o.mp4")) as container:
        assert not container.streams.audio
        assert "title" not in container.metadata
        recorded = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    assert len(recorded) == FRAMES - 5
    for image in recorded:
        assert image[:, :90].max() < 24  # where the name stood, codec noise aside
        assert image[60:180, 140:260].max() > 50
    for path in (out / "s").iterdir():
        assert not np.asarray(cv2.imread(str(path)))[:, :90].any()
    written = b"".join(path.read_bytes() for path in out.rglob("*") if path.is_file())
    assert b"Doe" not in written
    assert "Doe" not in run.stdout


def test_a_redacted_live_stream_that_begins_dark_is_black_and_says_so(tiny_model_path: Path, tmp_path: Path) -> None:
    """A black picture is shown and recorded from the first frame on, with its state; nothing of the frame is in it."""
    clip, output, results = write_clip(tmp_path / "c.mp4", text=True, dark=25), tmp_path / "o.mp4", tmp_path / "r.jsonl"
    run = rt_seg(
        clip, "--live", "--engine", tiny_model_path, "--redact", "--no-hud", "--json",
        "-o", output, "--results", results,
    )  # fmt: skip
    assert run.exit_code == 0, run.stderr
    summary = json.loads(run.stdout)
    assert "redact" not in summary["dropped"]
    assert summary["states"]["picture black"] > 0
    records = [json.loads(line) for line in results.read_text().splitlines()][1:]
    dark = sum(record["pts_seconds"] < 25 / FPS for record in records)
    assert dark > 0
    with av.open(str(output)) as container:
        recorded = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    assert max(image[:, :90].max() for image in recorded) < 24
    assert recorded[0].max() < 24
    assert recorded[-1][60:180, 140:260].max() > 50


def test_a_redacted_sender_that_goes_away_is_not_named(
    serve: Callable[[Callable[[BaseHTTPRequestHandler], None]], str], tiny_model_path: Path, tmp_path: Path
) -> None:
    """Events and summary say why the signal was lost and why it was given up, without the address; the terminal may."""
    data, answers = write_clip(tmp_path / "clip.ts").read_bytes(), [0]

    def respond(handler: BaseHTTPRequestHandler) -> None:
        """Promise more than is sent, once; then refuse."""
        answers[0] += 1
        if answers[0] > 1:
            handler.send_error(503)
            return
        handler.send_response(200)
        handler.send_header("Content-Length", str(2 * len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    host, events = serve(respond), tmp_path / "e.jsonl"
    run = rt_seg(
        f"http://{host}/Doe_Jane", "--engine", tiny_model_path, "--redact", "--json", "--events", events,
        "--reconnect", 1,
    )  # fmt: skip
    assert run.exit_code == 4, run.output
    lost = [event for event in map(json.loads, events.read_text().splitlines()) if event["kind"] == "signal_lost"]
    assert lost[0]["detail"].startswith("the source: the connection is lost: ")
    assert json.loads(run.stdout)["error"].endswith("(given up after 1 attempt to reconnect)")
    for written in (events.read_text(), run.stdout):
        assert "Doe" not in written
        assert host not in written


def test_a_redacted_file_that_breaks_off_is_not_named(tiny_model_path: Path, tmp_path: Path) -> None:
    """The summary says where it breaks off, and not of which file."""
    clip = write_clip(tmp_path / "Doe_Jane.mkv")
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    run = rt_seg(clip, "--engine", tiny_model_path, "--redact", "--json", "--events", tmp_path / "e.jsonl")
    assert json.loads(run.stdout)["error"].startswith("the source: breaks off at ")
    assert "Doe" not in run.stdout


@pytest.mark.parametrize(
    ("source", "info", "text", "expected"),
    [
        ("a b/Doe.mp4", {"name": "a b/Doe.mp4", "path": Path("a b/Doe.mp4")}, "Doe.mp4: cut; not Doe.mp45",
         "the source: cut; not Doe.mp45"),
        ("./Doe.mp4", {"name": "Doe.mp4", "path": Path("Doe.mp4")}, f"{Path.cwd()}/Doe.mp4: cut", "the source: cut"),
        ("in/*.png", {"name": "in/*.png", "kind": "images", "path": Path("in")}, "in/Doe.png: no; it is inside",
         "the source: no; it is inside"),
        ("rtsp://u:p@h:1/Doe?x=1", {"name": "rtsp://h:1/Doe", "kind": "network"}, "rtsp://h:1/Doe: no; 1 frame of Doe",
         "the source: no; 1 frame of the source"),
        ("0", {"name": "camera 0", "kind": "camera"}, "camera 0: stopped after 0 frames",
         "the source: stopped after 0 frames"),
    ],
)  # fmt: skip
def test_a_text_loses_the_name_of_its_source(source: str, info: dict[str, Any], text: str, expected: str) -> None:
    """Address, path, resolved path, the name alone, and the single pictures of a folder; other words stay."""
    known: dict[str, Any] = {"kind": "video", "live": False, "width": 1, "height": 1, **info}
    assert without_source(source, SourceInfo(**known))(text) == expected
