"""Live addresses: a real server on the loopback sends, falls silent, refuses."""

import base64
import threading
from collections.abc import Callable
from contextlib import closing
from http.server import BaseHTTPRequestHandler
from itertools import pairwise
from pathlib import Path
from socket import socket
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest

from rt_seg.errors import SourceError, SourceInterrupted
from rt_seg.realtime.sources.network import NetworkSource
from rt_seg.realtime.sources.open import open_source
from rt_seg.realtime.sources.selection import Selection

UInt8Array = npt.NDArray[np.uint8]
WriteClip = Callable[..., Path]
NumberedPicture = Callable[[int, int, int], UInt8Array]
ReadNumber = Callable[[UInt8Array], int]
OpenFiles = Callable[[], set[str]]
Respond = Callable[[BaseHTTPRequestHandler], None]
Serve = Callable[[Respond], str]


def send(
    handler: BaseHTTPRequestHandler,
    data: bytes,
    kind: str = "video/mp2t",
    *,
    length: int | None = None,
    sized: bool = True,
) -> None:
    """Answer with data; `length` is what the header promises, if not as much as there is, `sized` whether it does."""
    handler.send_response(200)
    handler.send_header("Content-Type", kind)
    if sized:
        handler.send_header("Content-Length", str(len(data) if length is None else length))
    handler.end_headers()
    handler.wfile.write(data)


def said_by(error: BaseException | None) -> str:
    """What an error and those behind it say: all that a traceback could show of them."""
    said: list[str] = []
    while error is not None:
        said += [str(error), repr(error.args)]
        error = error.__cause__ or error.__context__
    return "\n".join(said)


def test_a_stream_is_delivered_as_it_comes(
    serve: Serve, write_clip: WriteClip, read_number: ReadNumber, open_files: OpenFiles, tmp_path: Path
) -> None:
    """A transport stream by HTTP: each frame once, in order, live, timed by the stream; its end is an end."""
    data = write_clip(tmp_path / "clip.ts", frames=60, options={"bf": "2"}).read_bytes()
    host = serve(lambda handler: send(handler, data))
    before = open_files()
    source = open_source(f"http://{host}/clip.ts")
    frames = list(source)
    source.close()
    source.close()
    assert [read_number(frame.image) for frame in frames] == list(range(60))
    assert [frame.pts_seconds for frame in frames] == pytest.approx([number / 25 for number in range(60)], abs=1e-9)
    assert (source.info.kind, source.info.live, source.info.fps) == ("network", True, 25.0)
    assert (source.info.width, source.info.height, source.info.frame_count) == (64, 48, None)
    assert {name for name in open_files() - before if "socket" in name} == set()


LENGTHS: dict[str, dict[str, Any]] = {
    "fragmented.mp4": {"container_options": {"movflags": "frag_keyframe+empty_moov"}},
    "clip.flv": {},
    "clip.mkv": {},
}


@pytest.mark.parametrize("name", LENGTHS)
def test_only_what_has_a_size_and_a_length_is_a_recording(
    name: str, serve: Serve, write_clip: WriteClip, tmp_path: Path
) -> None:
    """What a server promises to end may end; an encoder writes a duration, too, but nobody knows how much will come."""
    data = write_clip(tmp_path / name, **LENGTHS[name]).read_bytes()
    host = serve(lambda handler: send(handler, data, sized=handler.path == "/recording"))
    for path in ("recording", "live"):
        with closing(NetworkSource(f"http://{host}/{path}")) as source:
            assert source.info.live
            assert source.info.endless == (path == "live")
            assert any("its own pace" in note for note in source.info.notes) == (path == "recording")


@pytest.mark.parametrize("ended", [True, False])
def test_a_playlist_says_by_itself_whether_it_ends(
    ended: bool, serve: Serve, write_clip: WriteClip, tmp_path: Path
) -> None:
    """Of HLS no server needs to know a size."""
    data = write_clip(tmp_path / "0.ts", frames=25).read_bytes()
    lines = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:1", "#EXTINF:1.0,", "0.ts", "#EXT-X-ENDLIST"]
    playlist = "\n".join(lines if ended else lines[:-1]).encode()

    def respond(handler: BaseHTTPRequestHandler) -> None:
        listed = handler.path.endswith(".m3u8")
        send(handler, playlist if listed else data, "application/x-mpegURL" if listed else "video/mp2t", sized=False)

    with closing(NetworkSource(f"http://{serve(respond)}/list.m3u8")) as source:
        assert source.info.endless != ended


def test_a_recording_with_its_index_at_the_end_needs_a_server_that_sends_parts(
    serve: Serve, write_clip: WriteClip, open_files: OpenFiles, tmp_path: Path
) -> None:
    """The line says so, and not that the connection was lost."""
    noise = np.random.default_rng(7).integers(0, 255, (50, 240, 320, 3), dtype=np.uint8)
    path = write_clip(tmp_path / "clip.mp4", width=320, height=240, pictures=list(noise), options={"qp": "5"})
    data = path.read_bytes()
    host = serve(lambda handler: send(handler, data, "video/mp4"))
    before = open_files()
    with pytest.raises(SourceError, match=r"its index stands at its end.*download it and give the file$"):
        open_source(f"http://{host}/clip.mp4")
    assert {name for name in open_files() - before if "socket" in name} == set()


def test_duration_and_limit_end_a_stream(serve: Serve, write_clip: WriteClip, tmp_path: Path) -> None:
    """A part of a stream ends by itself; a start is refused."""
    data = write_clip(tmp_path / "clip.ts", frames=60).read_bytes()
    host = serve(lambda handler: send(handler, data))
    counts: list[int] = []
    for selection in (Selection(limit=7), Selection(duration=0.4)):
        source = NetworkSource(f"http://{host}/", selection)
        counts.append(len(list(source)))
        source.close()
    assert counts == [7, 10]
    with pytest.raises(SourceError, match="has no start to skip to"):
        NetworkSource(f"http://{host}/", Selection(start=1.0))


def test_damaged_packets_are_skipped(
    serve: Serve, write_clip: WriteClip, read_number: ReadNumber, tmp_path: Path
) -> None:
    """Loss on the way costs the pictures it hits, not the stream."""
    options = {"g": "10", "bf": "0", "sc_threshold": "0"}
    path = write_clip(tmp_path / "clip.flv", frames=60, options=options)  # the format inside RTMP
    data = bytearray(path.read_bytes())
    with av.open(path) as container:
        places = [packet.pos for packet in container.demux(video=0) if packet.pos is not None]
    slice_length = places[25] + 16  # behind the 11 bytes of a tag and 5 of its video header
    data[slice_length : slice_length + 4] = (0x7FFFFFFF).to_bytes(4)
    host = serve(lambda handler: send(handler, bytes(data)))
    source = open_source(f"http://{host}/")
    numbers = [read_number(frame.image) for frame in source]
    source.close()
    assert numbers[0] == 0
    assert numbers[-1] == 59
    assert 50 <= len(numbers) < 60


def test_a_stream_joined_midway_begins_at_a_key_frame(
    serve: Serve, write_clip: WriteClip, read_number: ReadNumber, tmp_path: Path
) -> None:
    """Pictures that build on what was sent before we came are left out."""
    path = write_clip(tmp_path / "clip.ts", frames=60, codec="mpeg4", options={"g": "20", "sc_threshold": "1000000000"})
    data = path.read_bytes()
    with av.open(path) as container:
        places = [packet.pos for packet in container.demux(video=0) if packet.pos is not None]
    host = serve(lambda handler: send(handler, data[:564] + data[places[5] :]))
    source = open_source(f"http://{host}/")
    numbers = [read_number(frame.image) for frame in source]
    source.close()
    assert numbers == list(range(20, 60))


def test_a_cameras_motion_jpeg_is_timed_by_the_clock(
    serve: Serve, numbered_picture: NumberedPicture, read_number: ReadNumber
) -> None:
    """Multipart JPEG carries no timestamps: stream time is the time of arrival, from 0."""
    parts: list[bytes] = []
    for number in range(12):
        jpeg = cv2.imencode(".jpg", numbered_picture(number, 64, 48))[1].tobytes()
        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n".encode()
        parts.append(head + jpeg + b"\r\n")
    body = b"".join(parts)
    host = serve(lambda handler: send(handler, body, "multipart/x-mixed-replace; boundary=frame"))
    source = open_source(f"http://{host}/video", limit=12)
    frames = list(source)
    source.close()
    assert [read_number(frame.image) for frame in frames] == list(range(12))
    elapsed = (frames[-1].captured_ns - frames[0].captured_ns) / 1e9
    # at 25 a second, which FFmpeg assumes, it would be 0.44 s
    assert frames[0].pts_seconds == 0.0
    assert frames[-1].pts_seconds == pytest.approx(elapsed, abs=float(source.info.time_base or 0))
    assert all(earlier.pts_seconds <= later.pts_seconds for earlier, later in pairwise(frames))


def test_udp_is_received(write_clip: WriteClip, read_number: ReadNumber, tmp_path: Path) -> None:
    """Datagrams of a transport stream: the numbers that come are in order."""
    packets = write_clip(tmp_path / "clip.ts", frames=250, options={"g": "5"}).read_bytes()
    with socket(type=2) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    stop = threading.Event()

    def keep_sending() -> None:
        with socket(type=2) as sender:
            for position in range(0, len(packets), 1316):
                sender.sendto(packets[position : position + 1316], ("127.0.0.1", port))
                if stop.wait(0.005):
                    return

    thread = threading.Thread(target=keep_sending)
    thread.start()
    try:
        source = NetworkSource(f"udp://127.0.0.1:{port}", Selection(limit=20), timeout_seconds=5)
        numbers = [read_number(frame.image) for frame in source]
        source.close()
    finally:
        stop.set()
        thread.join()
    assert len(numbers) == 20
    assert numbers == sorted(set(numbers))


def test_a_lost_connection_is_an_error(
    serve: Serve, write_clip: WriteClip, read_number: ReadNumber, tmp_path: Path
) -> None:
    """A server that promises more than it sends: the frames come, then one line without the password."""
    data = write_clip(tmp_path / "clip.ts", frames=60, options={"bf": "3"}).read_bytes()
    host = serve(lambda handler: send(handler, data, length=2 * len(data)))
    source = open_source(f"http://user:secret@{host}/clip.ts?token=secret")
    numbers: list[int] = []
    with pytest.raises(SourceInterrupted, match=r"the connection is lost: .*, after \d\d frames; check") as caught:
        numbers.extend(read_number(frame.image) for frame in source)
    source.close()
    assert numbers == list(range(len(numbers)))
    assert len(numbers) >= 59
    assert "secret" not in said_by(caught.value)


def test_silence_ends_after_the_time_out(serve: Serve, write_clip: WriteClip, tmp_path: Path) -> None:
    """Neither opening nor reading waits for ever: a silent server is one line, before and after the first frame."""
    data = write_clip(tmp_path / "clip.ts", frames=60).read_bytes()
    silent = threading.Event()

    def say_nothing(_handler: BaseHTTPRequestHandler) -> None:
        silent.wait(30)

    def fall_silent(handler: BaseHTTPRequestHandler) -> None:
        send(handler, data, length=2 * len(data))
        handler.wfile.flush()
        silent.wait(30)

    with pytest.raises(SourceError, match=r"no stream within 0\.3 s") as caught:
        NetworkSource(f"http://{serve(say_nothing)}/", timeout_seconds=0.3)
    assert not isinstance(caught.value, SourceInterrupted)
    source = NetworkSource(f"http://{serve(fall_silent)}/", timeout_seconds=0.3)
    with pytest.raises(SourceInterrupted, match=r"no data for 0.3 s, after \d+ frames"):
        list(source)
    source.close()
    silent.set()


def test_credentials_are_used_and_never_shown(serve: Serve, write_clip: WriteClip, tmp_path: Path) -> None:
    """User and password open the stream; the name and every message leave them out."""
    data = write_clip(tmp_path / "clip.ts", frames=10).read_bytes()
    wanted = "Basic " + base64.b64encode(b"user:secret").decode()

    def respond(handler: BaseHTTPRequestHandler) -> None:
        if handler.headers.get("Authorization") == wanted:
            send(handler, data)
        else:
            handler.send_response(401)
            handler.send_header("WWW-Authenticate", 'Basic realm="camera"')
            handler.end_headers()

    host = serve(respond)
    source = open_source(f"http://user:secret@{host}/live?key=secret")
    assert source.info.name == f"http://{host}/live"
    assert len(list(source)) == 10
    source.close()
    with pytest.raises(SourceError, match="it asks for a user and password") as caught:
        open_source(f"http://user:wrong-secret@{host}/live?key=secret")
    assert "secret" not in said_by(caught.value)


def test_a_missing_page_and_a_page_without_video_are_refused(serve: Serve) -> None:
    """One line each."""
    missing = serve(lambda handler: handler.send_error(404))
    with pytest.raises(SourceError, match=r"cannot be opened \(.*404.*\); check the address"):
        open_source(f"http://{missing}/")
    page = serve(lambda handler: send(handler, b"<html>hello</html>" * 99, "text/html"))
    with pytest.raises(SourceError, match="cannot be opened"):
        open_source(f"http://{page}/")


@pytest.mark.parametrize("scheme", ["http", "https", "rtsp", "rtsps", "rtmp"])
def test_an_address_that_refuses_is_one_line(scheme: str, open_files: OpenFiles) -> None:
    """Nobody listens there: said at once, without the password, and nothing stays open."""
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    before = open_files()
    with pytest.raises(SourceError, match="Connection refused") as caught:
        open_source(f"{scheme}://user:secret@127.0.0.1:{port}/live")
    assert str(caught.value).startswith(f"{scheme}://127.0.0.1:{port}/live: ")
    assert "secret" not in said_by(caught.value)
    assert {name for name in open_files() - before if "socket" in name} == set()
