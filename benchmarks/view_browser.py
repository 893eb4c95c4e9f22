"""Debian's Chromium, without a window, on the page of the live view: how late the page itself says its pictures are.

The page takes the time of each picture when the browser is about to show it, by the server's clock, and tells the
server; what it tells is kept here, too. Nothing of the page is replaced.

Run as ``python -m rt_seg.benchmarks.view_browser URL SECONDS``; prints JSON: ``shown``, for each picture the index of
its frame and its delay in milliseconds, and ``page``, the figures that stand on the page at the end.
"""

import importlib.util
import json
import shutil
import sys
from typing import Any

from rt_seg.errors import MissingDependencyError

_START_SECONDS = 5  # that a page has to come to its pace; they do not count
_WIDTH, _HEIGHT = 1280, 720  # of the page
_LISTEN = """
window.shownHere = [];
const send = WebSocket.prototype.send;
WebSocket.prototype.send = function (data) {
  if (typeof data === "string" && data.includes('"shown"')) window.shownHere.push(data);
  return send.call(this, data);
};
"""
_FIGURES = """() => Object.fromEntries(["last", "p50", "p99"].map(
  (name) => [name, document.getElementById(`browser-${name}`).textContent]))"""


def find_browser() -> str:
    """The program.

    Raises:
        MissingDependencyError: There is no Playwright, or no Chromium.
    """
    if importlib.util.find_spec("playwright") is None:
        raise MissingDependencyError("--browser needs Playwright: pip install 'rt-seg[browser]'")
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        raise MissingDependencyError("--browser needs Chromium (Debian: apt-get install chromium)")
    return path


def watch(url: str, seconds: float) -> dict[str, Any]:
    """Look at the page for so long.

    Raises:
        MissingDependencyError: There is no Playwright, or no Chromium.
    """
    path = find_browser()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # in containers benchmarks run as root, for whom Chromium has no sandbox; it sees the view's page only
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": _WIDTH, "height": _HEIGHT})
        page.add_init_script(_LISTEN)
        page.goto(url)
        page.wait_for_timeout(_START_SECONDS * 1000)
        page.evaluate("() => { window.shownHere.length = 0; }")
        page.wait_for_timeout(seconds * 1000)
        told = [json.loads(text) for text in page.evaluate("() => window.shownHere")]
        figures = page.evaluate(_FIGURES)
        browser.close()
    return {"shown": [(each["index"], each["delay_ms"]) for each in told if "delay_ms" in each], "page": figures}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(watch(sys.argv[1], float(sys.argv[2]))) + "\n")
