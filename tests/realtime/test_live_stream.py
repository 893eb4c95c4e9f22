"""Live streams from end to end: real files, real senders on the loopback, real signals, a disk that is full."""

import json
import os
import pty
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from http.server import BaseHTTPRequestHandler
from itertools import cycle, pairwise
from pathlib import Path
from socket import AF_INET, SOCK_DGRAM, socket
from typing import IO, Any

import av
import numpy as np
import pytest
from typer.testing import CliRunner

from rt_seg.cli import app
from rt_seg.realtime.backoff import Backoff
from rt_seg.realtime.capture import Capture
from rt_seg.realtime.frame import Frame, Span
from rt_seg.realtime.sources.network import NetworkSource
from rt_seg.realtime.sources.selection import Selection
from rt_seg.realtime.statistics import Statistics
from rt_seg.realtime.upkeep import Upkeep

pytestmark = pytest.mark.slow  # most of them run a whole process or stream

FRAMES, FPS = 50, 25
Respond = Callable[[BaseHTTPRequestHandler], None]


def write_clip(
    path: Path, frames: int = FRAMES, size: tuple[int, int] = (160, 120), texture: int = 0, flags: str = ""
) -> Path:
    """A clip with a red half, which the tiny model sees as a polyp; `texture` is noise that makes it large."""
    noise = np.random.default_rng(1).integers(0, texture + 1, (frames, size[1], size[0], 3), np.uint8)
    with av.open(str(path), "w", container_options={"movflags": flags} if flags else {}) as container:
        stream = container.add_stream("libx264", rate=Fraction(FPS), options={"preset": "ultrafast", "g": "10"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for index in range(frames):
            picture = noise[index] + np.uint8(20)
            picture[:, size[0] // 2 :, 2] = 230
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode())
    return path


def frames_of(path: Path) -> list[float]:
    """Presentation time of each frame of a recording in seconds."""
    with av.open(str(path)) as container:
        return [float(frame.time) for frame in container.decode(video=0)]


def drops_in(events: Path) -> Counter[str]:
    """What an event log says was lost, by cause."""
    told: Counter[str] = Counter()
    for event in map(json.loads, events.read_text().splitlines()):
        told[event.get("cause", "")] += event.get("count", 0)
    return +told


def until_recorded(output: Path, process: "subprocess.Popen[str]") -> None:
    """Wait for the first bytes of a recording."""
    while not (output.exists() and output.stat().st_size):
        assert process.poll() is None
        time.sleep(0.02)  # a file tells nobody that it grows


def send_sized(handler: BaseHTTPRequestHandler, data: bytes) -> None:
    """Answer like a server of files that sends no parts of them."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data)


def send_endless(handler: BaseHTTPRequestHandler, data: bytes) -> None:
    """Answer like a camera: nobody knows how much will come."""
    handler.send_response(200)
    handler.send_header("Content-Type", "video/mp2t")
    handler.end_headers()
    handler.wfile.write(data)
    handler.wfile.flush()


def start(*arguments: object, **popen: Any) -> "subprocess.Popen[str]":
    """`rt-seg stream ARGUMENTS` in a process of its own."""
    command = [sys.executable, "-m", "rt_seg", "stream", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **popen)


def read_until(stream: IO[str] | None, words: str) -> str:
    """Read lines until one holds the words; all that was read."""
    assert stream is not None
    read = ""
    for line in stream:
        read += line
        if words in line:
            return read
    raise AssertionError(f"{words!r} was never said; said was: {read}")


def test_a_file_plays_live_at_its_own_pace(tiny_model_path: Path, tmp_path: Path) -> None:
    """With --live a clip of two seconds takes two seconds, whatever the machine could do, and is recorded in time."""
    clip, output, results = write_clip(tmp_path / "clip.mp4"), tmp_path / "out.mp4", tmp_path / "out.jsonl"
    arguments = [clip, "--live", "--engine", tiny_model_path, "-o", output, "--results", results, "--json"]
    arguments += ["--min-frames", "1/1"]
    run = CliRunner().invoke(app, ["stream", *map(str, arguments)])
    assert run.exit_code == 0, run.stderr
    summary = json.loads(run.stdout)
    assert summary["frames_in"] == FRAMES
    assert summary["frames_in"] == summary["frames_out"] + summary["dropped"].get("show", 0)
    assert summary["elapsed_seconds"] > (FRAMES - 1) / FPS
    assert sum(summary["states"].values()) == summary["frames_out"]
    header, *records = [json.loads(line) for line in results.read_text().splitlines()]
    assert header["source"]["kind"] == "video"
    for record in records:
        segmented = record["segmented_index"]
        assert segmented is None or segmented <= record["index"]
        assert bool(record["polyps"]) == (segmented is not None)
        # the plain clip counts as blurred, whenever that was found out
        no_mask = record["state"] in {"starting", "mask withheld: too old"}
        assert no_mask == (segmented is None) or record["state"] in {"picture blurred", "picture frozen"}
    times = frames_of(output)
    assert all(one < other for one, other in pairwise(times))
    assert times[-1] <= (FRAMES - 1) / FPS + 1e-6


def test_a_recording_at_an_address_plays_at_its_own_pace(
    serve: Callable[[Respond], str], tiny_model_path: Path, tmp_path: Path
) -> None:
    """All its frames come, at the recording's own times, however fast the network is; its end is the end."""
    data, output = write_clip(tmp_path / "clip.mp4", flags="faststart").read_bytes(), tmp_path / "out.mp4"
    address = f"http://{serve(lambda handler: send_sized(handler, data))}/clip.mp4"
    arguments = [address, "--engine", tiny_model_path, "-o", output, "--json"]
    run = CliRunner().invoke(app, ["stream", *map(str, arguments)])
    assert run.exit_code == 0, run.stderr
    summary = json.loads(run.stdout)
    assert summary["frames_in"] == FRAMES
    assert summary["elapsed_seconds"] > (FRAMES - 1) / FPS
    assert summary["signal_losses"] == 0
    assert frames_of(output)[-1] <= (FRAMES - 1) / FPS + 1e-6
    assert "at its own pace" in run.stderr


@pytest.mark.parametrize("option", [["--limit", 10], ["--duration", 0.4]])
@pytest.mark.parametrize("sized", [True, False])
def test_a_part_of_what_comes_from_an_address_is_a_part(
    sized: bool, option: list[object], serve: Callable[[Respond], str], tiny_model_path: Path, tmp_path: Path
) -> None:
    """A recording and a live encoder alike end after the selected part."""
    data = write_clip(tmp_path / "clip.mp4", flags="frag_keyframe+empty_moov").read_bytes()
    host = serve(lambda handler: (send_sized if sized else send_endless)(handler, data))
    arguments = [f"http://{host}/live", "--engine", tiny_model_path, "--no-show", "--json", *option]
    run = CliRunner().invoke(app, ["stream", *map(str, arguments)])
    assert run.exit_code == 0, run.stderr
    assert 0 < json.loads(run.stdout)["frames_in"] <= 10


def test_passthrough_of_a_file_needs_live(tmp_path: Path) -> None:
    """One line that says what to add."""
    run = CliRunner().invoke(app, ["stream", str(write_clip(tmp_path / "clip.mp4", 5)), "--display", "passthrough"])
    assert run.exit_code == 2
    assert "add --live" in run.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--min-frames", "5/3"], "is not K/N"),
        (["--camera-size", "huge"], "is not WIDTHxHEIGHT"),
        (["--stabilise", "much"], "much"),
        (["--camera-format", "RGB"], "RGB"),
    ],
)
def test_bad_options_are_refused(options: list[str], said: str) -> None:
    """A wrong command line is exit code 2 and says which value."""
    run = CliRunner().invoke(app, ["stream", "demo" if "--camera-size" not in options else "99", *options])
    assert run.exit_code == 2, run.output
    assert said in run.stderr


class Kept:
    """A receiver that keeps what it is given."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.signals: list[tuple[bool, str]] = []
        self.ended = threading.Event()
        self.error: BaseException | None = None

    def take_frame(self, frame: Frame, span: Span) -> None:
        assert span.end_ns >= span.start_ns
        self.frames.append(frame)

    def take_stand_in(self, frame: Frame) -> None:
        """Not looked at here."""

    def on_signal(self, present: bool, reason: str) -> None:
        self.signals.append((present, reason))

    def on_end(self, error: BaseException | None) -> None:
        self.error = error
        self.ended.set()


def test_a_network_sender_that_flaps_ten_times_in_two_sizes(serve: Callable[[Respond], str], tmp_path: Path) -> None:
    """A real stream by HTTP, ten times cut off, each time another size: one stream, in order, no password said."""
    clips = [write_clip(tmp_path / f"{size[0]}.ts", 10, size).read_bytes() for size in ((160, 120), (96, 64))]
    turn, lock = cycle(clips), threading.Lock()

    def respond(handler: BaseHTTPRequestHandler) -> None:
        with lock:
            data = next(turn)
        send_endless(handler, data)

    address = f"http://user:secret@{serve(respond)}/live?key=secret"
    kept = Kept()
    upkeep = Upkeep(lambda: NetworkSource(address), 30.0, 50, Selection(limit=105), backoff=lambda: Backoff(0.0, 0.0))
    capture = Capture(NetworkSource(address), kept, Statistics(), upkeep)
    capture.start()
    assert kept.ended.wait(60)
    capture.stop()
    assert capture.join(10)
    assert kept.error is None
    assert [frame.index for frame in kept.frames] == list(range(105))
    assert {(frame.width, frame.height) for frame in kept.frames} == {(160, 120), (96, 64)}
    assert all(one.pts_seconds <= other.pts_seconds for one, other in pairwise(kept.frames))
    assert sum(not present for present, _ in kept.signals) >= 10
    assert "secret" not in str(kept.signals)


def test_a_udp_sender_that_stalls_is_no_signal_and_comes_back(tiny_model_path: Path, tmp_path: Path) -> None:
    """Datagrams stop, "no signal" is said and recorded, they come again, and the stream goes on."""
    packets = write_clip(tmp_path / "clip.ts", 500).read_bytes()
    with socket(AF_INET, SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    sending, done = threading.Event(), threading.Event()
    sending.set()

    def keep_sending() -> None:
        with socket(AF_INET, SOCK_DGRAM) as sender:
            for position in cycle(range(0, len(packets), 1316)):
                while not sending.wait(0.1):
                    if done.is_set():
                        return
                if done.wait(500 / FPS * 1316 / len(packets)):  # at its own pace
                    return
                sender.sendto(packets[position : position + 1316], ("127.0.0.1", port))

    output = tmp_path / "out.mp4"
    threading.Thread(target=keep_sending, daemon=True).start()
    arguments = [f"udp://127.0.0.1:{port}", "--engine", tiny_model_path, "-o", output, "--json"]
    with start(*arguments, "--signal-timeout", 0.7) as process:
        read_until(process.stderr, "engine")
        sending.clear()
        read_until(process.stderr, "no signal")
        sending.set()
        read_until(process.stderr, "signal is back")
        process.send_signal(signal.SIGINT)
        stdout, _ = process.communicate(timeout=30)
    done.set()
    summary = json.loads(stdout)
    assert process.returncode == 130
    assert summary["error"] is None
    assert summary["signal_losses"] >= 1
    assert all(one < other for one, other in pairwise(frames_of(output)))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_inside_a_hung_call_of_ffmpeg(
    number: signal.Signals, serve: Callable[[Respond], str], tiny_model_path: Path, tmp_path: Path
) -> None:
    """A sender that fell silent, with a read that waits for minutes: the process ends soon and leaves a whole file."""
    data, silent = write_clip(tmp_path / "clip.ts").read_bytes(), threading.Event()

    def fall_silent(handler: BaseHTTPRequestHandler) -> None:
        send_endless(handler, data)
        silent.wait(60)

    output = tmp_path / "out.mp4"
    arguments = [f"http://{serve(fall_silent)}/", "--engine", tiny_model_path, "-o", output, "--json"]
    with start(*arguments, "--signal-timeout", 300) as process:
        read_until(process.stderr, "engine")
        until_recorded(output, process)
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=15)
    silent.set()
    assert process.returncode == 128 + number, stderr
    assert json.loads(stdout)["ended_by"] == "signal"
    assert frames_of(output)


def test_a_signal_ends_it_while_it_opens(serve: Callable[[Respond], str]) -> None:
    """Ctrl-C before the first picture, in a call that waits for minutes, ends it soon, with nothing written."""
    connected, silent = threading.Event(), threading.Event()

    def say_nothing(_handler: BaseHTTPRequestHandler) -> None:
        connected.set()
        silent.wait(60)

    with start(f"http://{serve(say_nothing)}/", "--signal-timeout", 300) as process:
        assert connected.wait(60)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=15)
    silent.set()
    assert (process.returncode, stdout) == (130, "")
    assert "Traceback" not in stderr


def test_a_signal_ends_it_between_two_attempts(
    serve: Callable[[Respond], str], tiny_model_path: Path, tmp_path: Path
) -> None:
    """While it waits to reconnect, SIGTERM ends it soon; the recording is whole."""
    data, answers = write_clip(tmp_path / "clip.ts").read_bytes(), [0]

    def once(handler: BaseHTTPRequestHandler) -> None:
        answers[0] += 1
        if answers[0] == 1:
            send_endless(handler, data)
        else:
            handler.send_error(503)

    output = tmp_path / "out.mp4"
    with start(f"http://{serve(once)}/", "--engine", tiny_model_path, "-o", output, "--json") as process:
        read_until(process.stderr, "no signal")
        process.send_signal(signal.SIGTERM)
        stdout, stderr = process.communicate(timeout=15)
    assert process.returncode == 143, stderr
    summary = json.loads(stdout)
    assert summary["signal_losses"] == 1
    assert frames_of(output)


def test_a_full_disk_stops_the_recording_and_not_the_stream(tiny_model_path: Path, tmp_path: Path) -> None:
    """It is said to be stopped, by the exit code, too; each frame shown is in a file or lost, in summary and events."""
    clip, events, output = (
        write_clip(tmp_path / "clip.mp4", 75, texture=120),
        tmp_path / "events.jsonl",
        tmp_path / "out.mp4",
    )

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    arguments = [clip, "--live", "--engine", tiny_model_path, "-o", output, "--json", "--events", events]
    with start(*arguments, preexec_fn=small_files) as process:  # no threads in this process matter
        stdout, stderr = process.communicate(timeout=90)
    assert process.returncode == 7, stderr
    assert "record stopped" in stderr
    summary = json.loads(stdout)
    assert summary["ended_by"] == "end"
    assert summary["frames_out"] + summary["dropped"].get("show", 0) == summary["frames_in"] == 75
    written = sum(len(frames_of(path)) for path in tmp_path.glob("out*.mp4"))
    lost = summary["dropped"]
    assert lost["record stopped"] > 0
    assert written + lost["record stopped"] + lost.get("record", 0) == summary["frames_out"]
    assert drops_in(events) == lost


# What a window manager sends when the close button is pressed (ICCCM 4.2.8.1): WM_DELETE_WINDOW, as a client message.
CLOSE_BUTTON = """
import ctypes, sys

class ClientMessage(ctypes.Structure):
    _fields_ = [("type", ctypes.c_int), ("serial", ctypes.c_ulong), ("send_event", ctypes.c_int),
                ("display", ctypes.c_void_p), ("window", ctypes.c_ulong), ("message_type", ctypes.c_ulong),
                ("format", ctypes.c_int), ("data", ctypes.c_long * 5), ("rest", ctypes.c_long * 24)]

x = ctypes.CDLL("libX11.so.6")
x.XOpenDisplay.restype, x.XInternAtom.restype = ctypes.c_void_p, ctypes.c_ulong
display = ctypes.c_void_p(x.XOpenDisplay(None))
window = ctypes.c_ulong(int(sys.argv[1]))
protocols, delete = (x.XInternAtom(display, name, 0) for name in (b"WM_PROTOCOLS", b"WM_DELETE_WINDOW"))
event = ClientMessage(33, 0, 1, None, window, protocols, 32, (ctypes.c_long * 5)(delete, 0))
assert x.XSendEvent(display, window, 0, ctypes.c_long(0), ctypes.byref(event))
x.XCloseDisplay(display)
"""


@pytest.mark.parametrize("how", ["close button", "q"])
def test_closing_the_window_ends_a_stream(how: str, display: str, tiny_model_path: Path, tmp_path: Path) -> None:
    """Midway, by the close button or by a key: it ends in order, and what was recorded so far can be played."""
    xdotool = shutil.which("xdotool")
    if xdotool is None:
        pytest.skip("xdotool is not installed (apt-get install xdotool)")
    clip, output = write_clip(tmp_path / "clip.mp4", 500), tmp_path / "out.mp4"
    here = {**os.environ, "DISPLAY": display}
    here.pop("WAYLAND_DISPLAY", None)
    arguments = [clip, "--live", "--show", "--engine", tiny_model_path, "-o", output, "--json"]
    with start(*arguments, env=here) as process:
        find = [xdotool, "search", "--sync", "--onlyvisible", "--name", "^rt-seg$"]
        found = subprocess.run(find, env=here, capture_output=True, text=True, check=True, timeout=60)
        window = found.stdout.split()[-1]
        until_recorded(output, process)
        press = [xdotool, "windowfocus", window, "key", "q"]
        close = [sys.executable, "-c", CLOSE_BUTTON, window]
        subprocess.run(press if how == "q" else close, env=here, check=True, timeout=60)
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    summary = json.loads(stdout)
    assert summary["ended_by"] == "window"
    assert 0 < summary["frames_out"] < 500
    assert 0 < len(frames_of(output)) <= summary["frames_out"]


def test_a_closed_terminal_ends_it_with_a_whole_recording(tiny_model_path: Path, tmp_path: Path) -> None:
    """The terminal goes away midway: the recording is finished although nobody can be told."""
    clip, output = write_clip(tmp_path / "clip.mp4", 500), tmp_path / "out.mp4"
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "rt_seg", "stream", str(clip), "--live", "--engine", str(tiny_model_path)]
    process = subprocess.Popen(
        [*command, "-o", str(output)], stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
        preexec_fn=_own_terminal,  # noqa: PLW1509  # no threads in this process matter
    )  # fmt: skip
    os.close(slave)
    said = b""
    while not (output.exists() and output.stat().st_size):
        assert process.poll() is None, said
        said += os.read(master, 4096)
    os.close(master)
    assert process.wait(30) == 129
    assert 0 < len(frames_of(output)) < 500


def _own_terminal() -> None:
    """Make standard input the terminal of this session, so that its end is a signal to us."""
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
