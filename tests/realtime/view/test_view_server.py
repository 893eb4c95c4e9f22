"""The live view's server, as programs meet it: a real stream, real sockets on the loopback."""

import contextlib
import json
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from importlib.resources import files
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
import trustme
from prometheus_client.parser import text_string_to_metric_families
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Close
from websockets.sync.client import ClientConnection, connect

from rt_seg.errors import InputError, OutputError
from rt_seg.realtime.view import viewers as viewers_module
from rt_seg.realtime.view.app import read_assets
from rt_seg.realtime.view.messages import LONGEST_MESSAGE
from rt_seg.realtime.view.picture import HEADER, picture_size, to_jpeg
from rt_seg.realtime.view.view import without_names
from rt_seg.realtime.view.viewers import MOST_VIEWERS

from .running import HEIGHT, WAIT, WIDTH, Stream, named_picture

pytestmark = pytest.mark.slow  # most of them run a whole process or stream

TOKEN = "correct horse battery staple"  # noqa: S105 - a test's own


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stream]:
    """A live stream that is looked at; its snapshots go into a folder of its own."""
    folder = tmp_path_factory.mktemp("view")
    with Stream(snapshots=folder / "snapshots", output=folder / "out.mp4") as running:
        yield running


class Page:
    """A client that does what the page does."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    def next(self) -> dict[str, Any] | bytes:
        """The next message; a picture is acknowledged."""
        message = self.socket.recv(WAIT)
        if isinstance(message, str):
            return dict(json.loads(message))
        self.send(type="shown", index=HEADER.unpack_from(message)[0], delay_ms=25.0)
        return message

    def send(self, **message: object) -> None:
        """Say something."""
        self.socket.send(json.dumps(message))

    def until(self, kind: str, holds: Callable[[dict[str, Any]], bool] = lambda _message: True) -> dict[str, Any]:
        """The first message of a kind for which something holds."""
        while True:
            message = self.next()
            if isinstance(message, dict) and message["type"] == kind and holds(message):
                return message

    def picture(self) -> tuple[tuple[int, int, float, float], np.ndarray[Any, np.dtype[np.uint8]]]:
        """The next picture: its header, and decoded."""
        while not isinstance(message := self.next(), bytes):
            pass
        decoded = cv2.imdecode(np.frombuffer(message, np.uint8, offset=HEADER.size), cv2.IMREAD_COLOR)
        assert decoded is not None
        return HEADER.unpack_from(message), np.asarray(decoded, np.uint8)


def end_of(page: Page) -> Close | None:
    """How the server ends a client that goes on reading; None without a word."""
    try:
        while True:
            page.next()
    except ConnectionClosed as closed:
        return closed.rcvd


@pytest.fixture
def page(stream: Stream) -> Iterator[Page]:
    """A client of the stream; in the end the controls are as they were."""
    before = stream.get("/api/state").json()["controls"]
    with stream.connect() as socket:
        page = Page(socket)
        yield page
        page.send(type="set", **before)
        stream.wait_for(lambda: stream.get("/api/state").json()["controls"] == before)


def test_the_first_message_says_what_is_to_be_seen(page: Page) -> None:
    """Source, size, engine, controls and their limits."""
    hello = page.next()
    assert isinstance(hello, dict)
    assert hello["type"] == "hello"
    assert hello["live"]
    assert hello["frame"] == {"width": WIDTH, "height": HEIGHT}
    assert hello["engine"]["backend"] == "callable"
    assert hello["controls"]["overlay"] in hello["limits"]["overlay"]
    assert hello["limits"]["threshold"][:2] == [0.05, 0.95]


def test_pictures_move_and_say_what_they_are(page: Page) -> None:
    """Frames rise, the picture is the rendered one with its mask, and it was captured before now, by the same clock."""
    page.send(type="ping", sent=1.5)
    headers: list[tuple[int, int, float, float]] = []
    for _ in range(5):
        header, image = page.picture()
        headers.append(header)
        assert image.shape == (HEIGHT, WIDTH, 3)
        assert image[120, 100:160, 2].max() > 150, "the disc is there"
    assert [header[0] for header in headers] == sorted({header[0] for header in headers})
    assert headers[-1][1] & 1, "it carries a mask"
    assert headers[-1][2] > headers[0][2]
    page.send(type="ping", sent=2.5)
    pong = page.until("pong", lambda message: message["sent"] == 2.5)
    assert pong["server_ms"] > headers[-1][3]


def test_the_state_is_told(page: Page) -> None:
    """Figures of the pipeline, and what clients report of their own delay."""
    page.picture()
    state = page.until("state", lambda message: message["browser_delay_ms"]["last"] is not None)
    assert state["state"] == "live"
    assert state["message"] == "segmenting"
    assert state["frames"]["in"] >= state["frames"]["out"] > 0
    assert state["polyps"] == 1
    assert state["clients"] >= 1
    assert state["video_delay_ms"]["last"] > 0
    assert state["browser_delay_ms"]["last"] == 25.0
    assert state["recording"]


def test_a_sighting_is_told_with_its_picture(stream: Stream, page: Page) -> None:
    """It comes with the greeting, goes on, and its snapshot is a JPEG with or without overlay."""
    page.until("sighting", lambda message: message["snapshot"] is not None)
    sighting = stream.get("/api/sightings").json()["sightings"][0]
    assert sighting["id"] == 1
    assert sighting["confidence"] > 0.7
    plain, marked = (stream.get(f"{sighting['snapshot']}?overlay={each}") for each in (0, 1))
    assert plain.headers["content-type"] == "image/jpeg"
    images = [cv2.imdecode(np.frombuffer(each.content, np.uint8), cv2.IMREAD_COLOR) for each in (plain, marked)]
    assert images[0] is not None
    assert images[1] is not None
    assert images[0].shape == (HEIGHT, WIDTH, 3)
    assert np.abs(images[0].astype(int) - images[1]).max() > 100
    assert stream.get("/api/sightings/99999.jpg").status_code == 404
    assert stream.get(f"/api/sightings/{'9' * 30}.jpg").status_code == 404
    assert stream.get("/api/sightings/1.jpg?overlay=2").status_code == 400


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("overlay", "heatmap"),
        ("alpha", 0.75),
        ("threshold", 0.8),
        ("stabilise", "strong"),
        ("min_frames", "3/5"),
        ("hud", False),
        ("paused", True),
    ],
)
def test_controls_are_changed_for_all(stream: Stream, page: Page, name: str, value: object) -> None:
    """One client sets, another one is told."""
    with stream.connect() as other:
        second = Page(other)
        page.send(type="set", **{name: value})
        second.until("controls", lambda message: message[name] == value)
    assert stream.get("/api/state").json()["controls"][name] == value


def _inside(page: Page) -> "np.ndarray[Any, np.dtype[np.uint8]]":
    """Mean BGR of the middle of where the disc always is."""
    image = page.picture()[1]
    return np.asarray(image[116:124, 125:135].mean(axis=(0, 1)), np.uint8)


def test_controls_act_on_the_picture(page: Page) -> None:
    """An opaque fill covers the disc, a clear one does not, and above its probability the threshold leaves nothing."""
    page.send(type="set", overlay="fill", alpha=1.0, stabilise="off", min_frames="1/1", hud=False)
    while not _inside(page)[0] > 200:  # cyan
        pass
    page.send(type="set", alpha=0.0)
    while not _inside(page)[0] < 60:  # red
        pass
    page.send(type="set", threshold=0.9)
    page.until("state", lambda message: message["polyps"] == 0)
    page.send(type="set", threshold=0.5)
    page.until("state", lambda message: message["polyps"] == 1)


def test_pause_holds_the_picture_and_lets_it_go(page: Page) -> None:
    """A live picture stands still while it is paused; afterwards the newest is shown."""
    page.picture()
    page.send(type="set", paused=True)
    page.until("state", lambda message: message["state"] == "paused")
    page.send(type="ping", sent=1)
    page.until("pong")
    first = page.until("state")["frames"]["out"]
    page.until("state", lambda message: message["frames"]["out"] > first + 10)
    page.send(type="set", paused=False)
    page.until("state", lambda message: message["state"] == "live")
    assert page.picture()[0][0] > 0


def test_the_recording_is_switched(page: Page) -> None:
    """What was asked for with -o ends, and another part begins."""
    page.until("state", lambda message: message["recording"])
    page.send(type="set", recording=False)
    page.until("state", lambda message: not message["recording"])
    page.send(type="set", recording=True)
    page.until("state", lambda message: message["recording"])


def test_a_snapshot_is_kept(stream: Stream, page: Page) -> None:
    """The picture that is looked at becomes two files, and all are told."""
    page.picture()
    page.send(type="do", action="snapshot")
    notice = page.until("notice", lambda message: "snapshot kept" in message["text"])
    name = notice["text"].rpartition(" ")[2]
    assert "/" not in name
    assert stream.settings.snapshots is not None
    assert (stream.settings.snapshots / name).is_file()


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"overlay": "glitter"}, "overlay is one of contour"),
        ({"overlay": ["fill"]}, "overlay is one of contour"),
        ({"alpha": 1.01}, "alpha is a number from 0 to 1"),
        ({"alpha": True}, "alpha is a number"),
        ({"threshold": 0}, "threshold is a number from 0.05"),
        ({"min_frames": "9/3"}, "not K/N"),
        ({"min_frames": "3/500"}, "60 frames at most"),
        ({"paused": 1}, "paused is true or false"),
        ({"output": "/etc/passwd"}, "none of the controls"),
        ({"hud": False, "alpha": "x"}, "alpha is a number"),
    ],
)
def test_what_cannot_be_used_is_refused(stream: Stream, page: Page, wanted: dict[str, object], said: str) -> None:
    """The client is told why, shown how things stand, and nothing has changed, not even the other half."""
    before = stream.get("/api/state").json()["controls"]
    page.send(type="set", **wanted)
    assert said in page.until("notice", lambda message: message["level"] == "error")["text"]
    assert page.until("controls") == {"type": "controls", **before}


@pytest.mark.parametrize(
    "text", ["no json", "[]", '{"type": "exec"}', '{"type": "shown", "delay_ms": -5}', b"\x00\x01"]
)
def test_a_malformed_message_ends_the_client(stream: Stream, text: str | bytes) -> None:
    """It is cut off with a reason; nobody else is."""
    with stream.connect() as socket:
        socket.send(text)
        end = end_of(Page(socket))
    assert end is not None
    assert end.code == 1008
    assert end.reason


def test_a_huge_message_ends_the_client(stream: Stream) -> None:
    """It is never held in memory whole."""
    with stream.connect() as socket:
        with contextlib.suppress(ConnectionClosed):
            socket.send("x" * 64 * LONGEST_MESSAGE)
        end = end_of(Page(socket))
    assert end is None or end.code == 1009


def test_a_flood_of_messages_ends_the_client(stream: Stream) -> None:
    """More than any page sends."""
    with stream.connect() as socket:
        with contextlib.suppress(ConnectionClosed):
            for number in range(2000):
                socket.send(json.dumps({"type": "ping", "sent": number}))
        end = end_of(Page(socket))
    assert end is None or end.code in {1008, 1013}


def test_snapshots_are_not_taken_without_end(stream: Stream, page: Page) -> None:
    """A client that asks too often is told so, and makes no more files."""
    before = stream.get("/api/state").json()
    for _ in range(12):
        page.send(type="do", action="snapshot")
    assert "not so often" in page.until("notice", lambda message: message["level"] == "error")["text"]
    assert before["state"] == "live"


def test_fifty_clients_are_too_many(stream: Stream) -> None:
    """Some see the picture, the others are told why not; when one leaves there is room again."""
    stream.wait_for(lambda: stream.get("/api/state").json()["clients"] == 0)
    with contextlib.ExitStack() as opened:
        sockets = [opened.enter_context(stream.connect()) for _ in range(50)]
        ends: list[Close | None] = []
        pages: list[Page] = []
        for each in sockets:
            try:
                Page(each).until("hello")
                pages.append(Page(each))
            except ConnectionClosed as exc:
                ends.append(exc.rcvd)
        assert len(pages) == MOST_VIEWERS
        assert len(ends) == 50 - MOST_VIEWERS
        assert {None if end is None else end.code for end in ends} == {1013}
        assert ends[0] is not None
        assert "look already" in ends[0].reason
        for page in pages:
            page.picture()
        assert stream.get("/video.mjpg").status_code == 503
        pages[0].socket.close()
        stream.wait_for(lambda: stream.get("/api/state").json()["clients"] < MOST_VIEWERS)
        with stream.connect() as socket:
            Page(socket).picture()


def silent_client(stream: Stream) -> socket.socket:
    """A WebSocket that says it will read, and never does."""
    client = socket.create_connection(("127.0.0.1", stream.port), WAIT)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    head = f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{stream.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    client.sendall(f"{head}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode())
    return client


def test_a_client_that_never_reads_harms_nobody(stream: Stream, page: Page) -> None:
    """It gets two pictures and no third; the pipeline loses no frame by it, and others see the newest picture."""
    stream.wait_for(lambda: stream.get("/api/state").json()["clients"] == 1)
    with silent_client(stream):
        stream.wait_for(lambda: stream.get("/api/state").json()["clients"] == 2)
        first = page.picture()[0][0]
        while page.picture()[0][0] < first + 40:
            pass
        state = stream.get("/api/state").json()
    assert "view" not in state["dropped"]
    stream.wait_for(lambda: stream.get("/api/state").json()["clients"] == 1)


def test_a_client_that_takes_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages that wait for it are bounded: then its place is free again."""
    monkeypatch.setattr(viewers_module, "_MOST_WAITING", 8)
    with Stream() as stream, stream.connect() as socket:
        Page(socket).until("hello")
        flood = [json.dumps({"type": "ping", "sent": number}) for number in range(200)]
        with contextlib.suppress(ConnectionClosed):
            for text in flood:
                socket.send(text)
        Page(socket)  # reads nothing more
        with stream.connect() as other:
            Page(other).picture()


def test_mjpeg_shows_the_same_pictures(stream: Stream) -> None:
    """Whole JPEGs, one after the other; a client that leaves is no longer counted."""
    with httpx.stream("GET", f"{stream.url}/video.mjpg", timeout=WAIT) as answer:
        assert answer.headers["content-type"].startswith("multipart/x-mixed-replace")
        data = b""
        for chunk in answer.iter_raw():
            data += chunk
            if data.count(b"\xff\xd9\r\n") >= 3:
                break
    parts = [part.partition(b"\r\n\r\n")[2] for part in data.split(b"--rt-seg-picture\r\n")[1:4]]
    for part in parts:
        decoded = cv2.imdecode(np.frombuffer(part, np.uint8), cv2.IMREAD_COLOR)
        assert decoded is not None
        assert decoded.shape == (HEIGHT, WIDTH, 3)
    stream.wait_for(lambda: stream.get("/api/state").json()["clients"] == 0)


def test_a_page_closed_midway_is_forgotten(stream: Stream) -> None:
    """A connection that breaks without a word frees its place."""
    with stream.connect() as kept:
        page = Page(kept)
        with stream.connect() as broken:
            Page(broken).picture()
            broken.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
            broken.socket.close()
        page.until("state", lambda message: message["clients"] == 1)
        page.picture()


def test_nothing_is_encoded_while_nobody_looks(stream: Stream) -> None:
    """Encoding starts with the first client and ends with the last."""
    stream.wait_for(lambda: stream.get("/api/state").json()["clients"] == 0)

    def encoded() -> int:
        stage = stream.pipeline.statistics.stages.get("view (encode)")
        return 0 if stage is None else stage.percentiles().count

    with stream.connect() as socket:
        Page(socket).picture()
    stream.wait_for(lambda: stream.get("/api/state").json()["clients"] == 0)
    before, shown = encoded(), stream.pipeline.frames_out
    stream.wait_for(lambda: stream.pipeline.frames_out > shown + 20)
    assert encoded() <= before + 1, "the one that was wanted when the client left"


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example:80", "192.0.2.1", "[2001:db8::1]:80", "a b"])
def test_foreign_hosts_are_refused(stream: Stream, host: str) -> None:
    """Whatever is asked for (DNS rebinding), also by WebSocket."""
    for path in ("/", "/api/state", "/metrics", "/healthz", "/assets/main.js"):
        assert stream.get(path, headers={"Host": host}).status_code == 421
    with pytest.raises(InvalidStatus):
        stream.connect(additional_headers={"Host": host}).close()


@pytest.mark.parametrize("origin", ["http://evil", "null", "https://127.0.0.1", "http://127.0.0.1:1"])
def test_foreign_origins_are_refused(stream: Stream, origin: str) -> None:
    """Another site's page opens no WebSocket here, posts nothing and reads nothing."""
    with pytest.raises(InvalidStatus) as refused:
        stream.connect(origin=origin).close()
    assert refused.value.response.status_code == 403
    assert stream.get("/api/state", headers={"Origin": origin}).status_code == 403
    assert httpx.post(f"{stream.url}/login", headers={"Origin": origin}, data={"token": "x"}).status_code == 403
    with stream.connect(origin=stream.url) as socket:
        Page(socket).until("hello")


def test_other_sites_embed_nothing(stream: Stream) -> None:
    """By what browsers say of a request's reason; a link to the page may be followed."""
    cross = {"Sec-Fetch-Site": "cross-site"}
    assert stream.get("/video.mjpg", headers=cross | {"Sec-Fetch-Mode": "no-cors"}).status_code == 403
    assert stream.get("/api/state", headers=cross | {"Sec-Fetch-Mode": "navigate"}).status_code == 403
    assert stream.get("/", headers=cross | {"Sec-Fetch-Mode": "navigate"}).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/assets/../view.py",
        "/assets/..%2fview.py",
        "/assets/%2e%2e/%2e%2e/controls.py",
        "/assets//etc/passwd",
        "/assets/%2fetc%2fpasswd",
        "/assets/main.js%00.png",
        "/assets/",
        "/../../etc/passwd",
        "/recordings/1.mp4/../../x",
        "/api/sightings/..%2f1.jpg",
        "/view.py",
    ],
)
def test_no_path_reaches_the_file_system(stream: Stream, path: str) -> None:
    """Only names in the package's own table are answered; asked for byte by byte, as no client library would."""
    with socket.create_connection(("127.0.0.1", stream.port), WAIT) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 404")
    assert b"root:" not in answer
    assert b"import " not in answer


def test_assets_are_the_packages(stream: Stream) -> None:
    """Each file with its type, byte by byte; the page names only files that are there."""
    assets = read_assets()
    assert {"index.html", "login.html"} <= assets.keys()
    types = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".png": "image/png"}
    for name, content in assets.items():
        answer = stream.get(f"/assets/{name}")
        assert answer.content == content
        assert answer.headers["content-type"].startswith(types[Path(name).suffix])
    assert stream.get("/").content == assets["index.html"]


@pytest.mark.parametrize("path", ["/", "/assets/none", "/api/state", "/metrics", "/healthz", "/api/openapi.json"])
def test_every_answer_is_guarded(stream: Stream, path: str) -> None:
    """No cache keeps it, no page frames it, no script but the package's runs in it."""
    headers = stream.get(path).headers
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    policy = headers["content-security-policy"]
    assert {"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"} <= set(
        policy.split("; ")
    )
    assert "unsafe" not in policy
    assert "*" not in policy
    assert "server" not in headers


def test_only_reading_is_answered(stream: Stream) -> None:
    """What is no GET or HEAD changes nothing."""
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE"):
        assert httpx.request(method, f"{stream.url}/api/state", timeout=WAIT).status_code == 405
    assert httpx.head(f"{stream.url}/video.mjpg", timeout=WAIT).status_code == 200


def test_metrics_are_what_prometheus_reads(stream: Stream, page: Page) -> None:
    """Its own parser reads them; counts agree with the pipeline, and histograms are cumulative."""
    page.picture()
    page.until("state", lambda message: message["browser_delay_ms"]["last"] is not None)
    families = {family.name: family for family in text_string_to_metric_families(stream.get("/metrics").text)}
    for name in (
        "frames_in", "frames_shown", "frames_dropped", "frames_with_mask", "sightings", "reconnects", "signal_losses",
        "engine_failures", "view_clients", "view_refused", "queue_length", "queue_occupancy", "state", "frame_rate",
        "video_delay_seconds", "annotation_delay_seconds", "browser_delay_seconds", "stage_seconds", "engine",
        "recording",
    ):  # fmt: skip
        assert f"rt_seg_{name}" in families or f"rt_seg_{name}_info" in families, name
    assert 0 < families["rt_seg_frames_in"].samples[0].value <= stream.pipeline.frames_in
    assert families["rt_seg_view_clients"].samples[0].value == 1
    assert [s.labels["state"] for s in families["rt_seg_state"].samples if s.value] == ["live"]
    (info,) = families["rt_seg_engine_info"].samples
    assert info.labels["backend"] == "callable"
    assert {"infer", "view"} <= {sample.labels["stage"] for sample in families["rt_seg_queue_length"].samples}
    buckets = [s.value for s in families["rt_seg_video_delay_seconds"].samples if s.name.endswith("_bucket")]
    (count,) = (s.value for s in families["rt_seg_video_delay_seconds"].samples if s.name.endswith("_count"))
    assert buckets == sorted(buckets)
    assert buckets[-1] == count > 0
    assert "process_resident_memory_bytes" in families


def test_dashboard_asks_for_metrics_that_are_there(stream: Stream) -> None:
    """Every expression of the Grafana dashboard names exposed metrics, and no metric of ours is left out."""
    dashboard = json.loads((files("rt_seg.realtime.view") / "grafana.json").read_text(encoding="utf-8"))
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    asked = " ".join(target["expr"] for panel in panels for target in panel["targets"])
    exposed = {
        sample.name
        for family in text_string_to_metric_families(stream.get("/metrics").text)
        for sample in family.samples
        if not sample.name.endswith("_created")
    }
    names = set(re.findall(r"\b(?:rt_seg|process|python)_\w+", asked))
    assert names <= exposed | {"rt_seg_frames_dropped_total"}, names - exposed
    ours = {re.sub(r"_(bucket|count|sum)$", "", name) for name in exposed if name.startswith("rt_seg_")}
    assert {name for name in ours if name not in {re.sub(r"_(bucket|count|sum)$", "", each) for each in names}} == set()
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert all(panel["title"] and panel["gridPos"]["w"] + panel["gridPos"]["x"] <= 24 for panel in panels)


def test_health_is_told_to_anybody_and_readiness_too(stream: Stream) -> None:
    """Alive is one thing, pictures that are segmented another."""
    assert stream.get("/healthz").text == "ok\n"
    stream.wait_for(lambda: stream.get("/readyz").status_code == 200)


def test_the_interface_is_described(stream: Stream) -> None:
    """Every described path is there, what it answers is as described, and every path of the server is described."""
    document = stream.get("/api/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    schemas = document["components"]["schemas"]
    state = stream.get("/api/state").json()
    assert set(schemas["State"]["required"]) <= state.keys() <= schemas["State"]["properties"].keys()
    assert state["state"] in schemas["State"]["properties"]["state"]["enum"]
    assert state["controls"].keys() == schemas["Controls"]["properties"].keys()
    stream.wait_for(lambda: bool(stream.get("/api/sightings").json()["sightings"]))
    assert stream.get("/api/sightings").json()["sightings"][0].keys() == schemas["Sighting"]["properties"].keys()
    for path in set(document["paths"]) - {"/video.mjpg"}:
        answer = stream.get(path.replace("{id}", "1"))
        described = document["paths"][path]["get"]["responses"].get(str(answer.status_code))
        assert described is not None, path
        assert answer.headers["content-type"].partition(";")[0] in described["content"], path


def test_there_is_no_recording_before_the_end(stream: Stream) -> None:
    """A file that is being written is not handed out."""
    assert stream.get("/recordings/1.mp4").status_code == 404


def test_the_token_opens_the_view() -> None:
    """Without it nothing of the stream is seen; with it, once, a cookie does; it stays out of links and lines."""
    with Stream(token=TOKEN) as stream:
        assert TOKEN not in " ".join(stream.lines)
        for path in (
            "/api/state",
            "/api/sightings",
            "/metrics",
            "/video.mjpg",
            "/recordings/1.mp4",
            "/api/sightings/1.jpg",
        ):
            assert stream.get(path).status_code == 401, path
        page = stream.get("/")
        assert page.status_code == 401
        assert b'name="token"' in page.content
        assert stream.get("/healthz").status_code == stream.get("/assets/login.html").status_code == 200
        assert stream.get(f"/?token={TOKEN}x").status_code == 401
        assert httpx.post(f"{stream.url}/login", data={"token": "wrong"}).status_code == 401
        assert httpx.post(f"{stream.url}/login", data={"token": "x" * 100_000}).status_code == 401
        assert stream.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
        with stream.connect() as socket, pytest.raises(ConnectionClosed) as closed:
            socket.recv(WAIT)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008
        assert "token" in closed.value.rcvd.reason
        with httpx.Client(base_url=stream.url, timeout=WAIT) as client:
            entered = client.post("/login", data={"token": TOKEN})
            assert entered.status_code == 303
            assert entered.headers["location"] == "/"
            assert client.get("/api/state").status_code == 200
            cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
        with stream.connect(additional_headers={"Cookie": cookie}) as socket:
            Page(socket).picture()
        by_link = stream.get("/", params={"token": TOKEN})
        assert by_link.status_code == 303
        assert TOKEN not in str(by_link.headers)


def test_tls_is_spoken(tmp_path: Path) -> None:
    """With certificate and key, pictures come through TLS, and the cookie goes through nothing else."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    certificate.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
    key.write_bytes(issued.private_key_pem.bytes())
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    with Stream(token=TOKEN, tls_cert=certificate, tls_key=key) as stream:
        assert stream.link.startswith("https:")
        entered = httpx.post(f"{stream.url}/login", data={"token": TOKEN}, verify=trust, timeout=WAIT)
        assert "Secure" in entered.headers["set-cookie"]
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        with connect(f"wss://127.0.0.1:{stream.port}/ws", ssl=trust, additional_headers=bearer) as socket:
            Page(socket).picture()
        with pytest.raises(httpx.HTTPError):
            httpx.get(f"http://127.0.0.1:{stream.port}/healthz", timeout=WAIT)


def test_redaction_holds_for_the_view() -> None:
    """Neither the source's name is told, nor is one shown that stands in the picture or in a snapshot."""
    corner = np.s_[4:18, 2:70]
    assert named_picture(0)[corner].max() > 200
    with Stream(named_picture, redact=True, roi="auto") as stream, stream.connect() as client:
        page = Page(client)
        hello = page.until("hello")
        shown = page.picture()[1]
        sighting = page.until("sighting", lambda message: message["snapshot"] is not None)
        snapshot = cv2.imdecode(np.frombuffer(stream.get(sighting["snapshot"]).content, np.uint8), cv2.IMREAD_COLOR)
        told = json.dumps([hello, stream.get("/api/state").json(), stream.get("/api/sightings").json()])
        assert hello["source"] == "redacted"
        assert "Jane" not in told + stream.get("/metrics").text
        assert snapshot is not None
        for image in (shown, np.asarray(snapshot)):
            assert image[110:130, 150:170].max() > 60
            assert image[corner].max() < 40


def test_lines_for_people_are_redacted_too() -> None:
    """What follows a colon in them names sources and files."""
    assert without_names("3.2 s  no signal: camera of Jane Doe: no answer") == "3.2 s  no signal"


def test_the_end_is_told_to_those_who_look() -> None:
    """A server that stops while a client looks closes the connection with a reason; its port is free at once."""
    before = set(threading.enumerate())
    with Stream() as stream, stream.connect() as client:
        page = Page(client)
        page.picture()
        ended = threading.Thread(target=stream.stop)
        ended.start()
        end = end_of(page)
        ended.join(WAIT)
    assert end is not None
    assert end.code in {1001, 1012}
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{stream.url}/healthz")
    left = set(threading.enumerate()) - before
    assert [each.name for each in left if each.name.startswith("rt-seg view")] == []


def refusal(**settings: Any) -> BaseException | None:
    """What a stream ends by that does not come to be."""
    with Stream(**settings) as stream:
        stream.join()
        return stream.error


def test_a_port_in_use_ends_before_anything_is_opened(stream: Stream) -> None:
    """One line, and no thread stays behind."""
    before = set(threading.enumerate())
    error = refusal(serve=f"127.0.0.1:{stream.port}")
    assert isinstance(error, OutputError)
    assert "is in use" in str(error)
    assert {each.name for each in set(threading.enumerate()) - before if each.name.startswith("rt-seg")} == set()


def test_what_cannot_be_served_is_refused() -> None:
    """An address that others reach, unprotected."""
    error = refusal(serve="0.0.0.0:0")
    assert isinstance(error, InputError)
    assert "--insecure" in str(error)


def test_frames_of_any_shape_are_shown_in_their_proportions() -> None:
    """Pixels that are not square are stretched, and a picture larger than a tablet's is made smaller."""
    assert picture_size(720, 576, Fraction(16, 15)) == (768, 576)
    assert picture_size(720, 480, Fraction(8, 9)) == (720, 540)
    assert picture_size(3840, 2160, Fraction(1)) == (1920, 1080)
    jpeg = to_jpeg(np.zeros((48, 64, 3), np.uint8), 1920, Fraction(1, 2))
    decoded = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    assert decoded.shape[:2] == (96, 64)
