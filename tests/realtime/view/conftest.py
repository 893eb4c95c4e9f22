"""The live view as its users meet it: `rt-seg stream ... --serve` in a process of its own, and a real browser."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast
from urllib.request import urlopen

import av
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, expect, sync_playwright

from rt_seg.realtime import demo

from .running import Stream

_WAIT = 120  # seconds: the machine may be busy, what is waited for is an event
_ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")
_ROUNDS = 20  # of the demo clip: a stream that outlasts a test

expect.set_options(timeout=_WAIT * 1000)


@dataclass
class LiveView:
    """A running `rt-seg stream ... --serve`."""

    process: "subprocess.Popen[str]"
    url: str = ""
    output: list[str] = field(default_factory=list[str])

    def get(self, path: str) -> Any:
        """JSON of a path of it."""
        # only this fixture's own server on the loopback is asked
        with urlopen(self.url + path, timeout=_WAIT) as answer:  # noqa: S310
            return json.load(answer)

    def stop(self) -> None:
        """End it as a service manager does, and at last by force."""
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


_POLL = """(argument) => new Promise((resolve, reject) => {
  const holds = (EXPRESSION);
  const giveUp = setTimeout(() => reject(new Error("never: " + holds)), WAIT);
  const look = () => {
    if (!holds(argument)) return setTimeout(look, 30);
    clearTimeout(giveUp);
    resolve();
  };
  look();
})"""


def until(page: Page, expression: str, argument: Any = None) -> None:
    """Wait until something holds in a page.

    Playwright's own `wait_for_function` evaluates strings in the page, which its Content-Security-Policy forbids.

    Args:
        page: Where.
        expression: JavaScript; with an argument, a function of it.
        argument: JSON value.
    """
    function = f"() => {expression}" if argument is None else expression
    page.evaluate(_POLL.replace("EXPRESSION", function).replace("WAIT", str(_WAIT * 1000)), argument)


def violations(page: Page) -> list[str]:
    """What axe finds wrong with a page: for each the rule and the element."""
    found = cast("Any", Axe().run(page)).response["violations"]
    return [f"{item['id']}: {node['html']}" for item in found for node in item["nodes"]]


ServeView = Callable[..., LiveView]
RunHere = Callable[..., Stream]
Look = Callable[..., Page]
Shoot = Callable[[Page, str], None]


@pytest.fixture(scope="module")
def serve_view(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServeView]:
    """Starts a server: ``serve_view("demo", "--live", port=0) -> LiveView``, when its address is printed."""
    started: list[LiveView] = []
    folder = tmp_path_factory.mktemp("served")  # snapshots that are asked for go to the working directory

    def serve(*arguments: object, port: int = 0) -> LiveView:
        # a busy machine is no news here: no mask is too old
        options = ["--no-show", "--max-staleness", "60000", "--serve", f"127.0.0.1:{port}"]
        command = [sys.executable, "-m", "rt_seg", "stream", *map(str, arguments), *options]
        # a wide terminal: no line is folded
        environment = os.environ | {"PYTHONUNBUFFERED": "1", "COLUMNS": "400"}
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        view = LiveView(process)
        started.append(view)
        printed = threading.Event()
        threading.Thread(target=_read, args=(view, printed), daemon=True).start()
        assert printed.wait(_WAIT), "nothing was printed"
        assert view.url, "".join(view.output)
        return view

    yield serve
    for view in started:
        view.stop()


def _read(view: LiveView, printed: threading.Event) -> None:
    """Take in what the process prints, so that its pipe never fills."""
    assert view.process.stdout is not None
    for line in view.process.stdout:
        view.output.append(line)
        found = _ADDRESS.search(line)
        if found is not None and not view.url:
            view.url = found[0]
            printed.set()
    printed.set()


@pytest.fixture(scope="session")
def long_demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo clip again and again, for four minutes, its packets as they are."""
    path = tmp_path_factory.mktemp("long") / "long-demo.mp4"
    source = Path(demo.__file__).with_name("demo.mp4")
    with av.open(path, "w") as output:
        stream: Any = None
        offset = 0
        for _ in range(_ROUNDS):
            end = 0
            with av.open(source) as container:
                video = container.streams.video[0]
                stream = stream or output.add_stream_from_template(video)
                for packet in container.demux(video):
                    if packet.pts is None or packet.dts is None:
                        continue
                    end = max(end, packet.pts + (packet.duration or 0))
                    packet.pts, packet.dts, packet.stream = packet.pts + offset, packet.dts + offset, stream
                    output.mux(packet)
            offset += end
    return path


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, without a window."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        if os.environ.get("RT_SEG_REQUIRE_BROWSER") == "1":
            pytest.fail("RT_SEG_REQUIRE_BROWSER=1, and there is no chromium (Debian: apt-get install chromium)")
        pytest.skip("there is no chromium (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        # in containers tests run as root, for whom Chromium has no sandbox; it sees our own pages only
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


class Served(Protocol):
    """A stream that is served, in this process or in another one."""

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        ...


@dataclass
class _Watch:
    """What a page must not do."""

    view: Served
    patient: bool
    problems: list[str] = field(default_factory=list[str])

    def on_console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not self.patient:
            self.problems.append(f"console: {message.text}")

    def on_error(self, error: object) -> None:
        self.problems.append(f"page error: {error}")

    def on_request(self, request: Request) -> None:
        if not request.url.startswith((self.view.url, self.view.url.replace("http", "ws"), "blob:")):
            self.problems.append(f"external request: {request.url}")


@pytest.fixture
def run_here() -> Iterator[RunHere]:
    """Runs a stream in this process, until the pages are closed: ``run_here(paint, load, **settings) -> Stream``."""
    with ExitStack() as running:

        def run(*parts: Any, **settings: Any) -> Stream:
            return running.enter_context(Stream(*parts, **settings))

        yield run


@pytest.fixture
def look(chromium: Browser, run_here: RunHere) -> Iterator[Look]:  # streams end after pages: no page loses its server
    """Opens the view: ``look(view, size=(1280, 720), patient=False, **context) -> Page``, where the server said hello.

    At the end no page may have written an error or a warning to the console or asked another host for anything;
    with `patient` the first is allowed, as a browser writes down each connection that fails.
    """
    del run_here
    contexts: list[BrowserContext] = []
    watches: list[_Watch] = []

    def open_page(
        view: Served,
        size: tuple[int, int] = (1280, 720),
        *,
        patient: bool = False,
        prepare: Callable[[Page], None] | None = None,
        **options: Any,
    ) -> Page:
        context = chromium.new_context(viewport={"width": size[0], "height": size[1]}, **options)
        contexts.append(context)
        context.set_default_timeout(_WAIT * 1000)
        page = context.new_page()
        watch = _Watch(view, patient)
        watches.append(watch)
        page.on("console", watch.on_console)
        page.on("pageerror", watch.on_error)
        page.on("request", watch.on_request)
        if prepare is not None:
            prepare(page)
        page.goto(view.url)
        until(page, "!['connecting', undefined].includes(document.body.dataset.state)")
        return page

    yield open_page
    for watch in watches:
        view = watch.view
        if not watch.patient and isinstance(view, LiveView) and view.process.poll() is not None:
            watch.problems.append("the server ended: " + "".join(view.output))
    for context in contexts:
        context.close()
    assert [problem for watch in watches for problem in watch.problems] == []


@pytest.fixture(scope="session")
def shoot(tmp_path_factory: pytest.TempPathFactory) -> Shoot:
    """Keeps a screenshot: ``shoot(page, "live")``, in the folder that RT_SEG_ARTEFACTS names, or else pytest's own."""
    named = os.environ.get("RT_SEG_ARTEFACTS")
    folder = Path(named) if named else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)

    def take(page: Page, name: str) -> None:
        size = cast("Any", page.viewport_size)
        page.screenshot(path=folder / f"{name}-{size['width']}x{size['height']}.png")

    return take
