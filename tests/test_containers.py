"""What goes into containers: the health check at real processes and servers, versions, and who may reach what."""

import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

_ROOT = Path(__file__).parent.parent
_CHECK = _ROOT / "docker" / "healthcheck.py"
_WAIT = "import sys; print(flush=True); sys.stdin.read()"


def _check(process: "subprocess.Popen[str] | str") -> subprocess.CompletedProcess[str]:
    pid = process if isinstance(process, str) else str(process.pid)
    return subprocess.run([sys.executable, str(_CHECK), pid], capture_output=True, text=True, check=False)


class _Waiting:
    """A process with the arguments of an rt-seg, that waits until the block is left."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        command = [sys.executable, "-c", _WAIT, "stream", "demo", *arguments]
        self.process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )

    def __enter__(self) -> "subprocess.Popen[str]":
        assert self.process.stdout is not None
        self.process.stdout.readline()
        return self.process

    def __exit__(self, *_error: object) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture(params=[200, 503])
def server(request: pytest.FixtureRequest) -> Iterator[tuple[int, int]]:
    """Port of a server whose ``/healthz`` answers so."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(request.param if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # http.server's name
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as made:
        threading.Thread(target=made.serve_forever, args=(0.02,), daemon=True).start()
        yield made.server_port, request.param
        made.shutdown()


@pytest.mark.parametrize("way", ["option", "joined", "file"])
def test_a_view_is_asked_how_it_is(way: str, server: tuple[int, int], tmp_path: Path) -> None:
    """With ``--serve``, however it is given, the view itself is asked: 200 is well, all else is not."""
    port, status = server
    address = f"0.0.0.0:{port}"
    (tmp_path / "tower.toml").write_text(f'serve = "{address}"\n', encoding="utf-8")
    given = {
        "option": ["--serve", address],
        "joined": [f"--serve={address}", "--live"],
        "file": ["--config", "tower.toml"],
    }[way]
    with _Waiting(tmp_path, *given) as process:
        answer = _check(process)
    assert (answer.returncode == 0) == (status == 200), answer.stderr
    assert answer.returncode == 0 or str(status) in answer.stderr


def test_a_view_that_does_not_answer_is_not_well(tmp_path: Path) -> None:
    """A server that is not there counts as ill, and the line names it."""
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as made:
        port = made.server_port
    with _Waiting(tmp_path, "--serve", f"0.0.0.0:{port}") as process:
        answer = _check(process)
    assert answer.returncode == 1
    assert f"127.0.0.1:{port}/healthz" in answer.stderr


def test_a_plain_command_is_well_while_it_lives(tmp_path: Path) -> None:
    """Without a view the process itself counts: alive, not stopped, not gone."""
    with _Waiting(tmp_path) as process:
        assert _check(process).returncode == 0
        process.send_signal(signal.SIGSTOP)
        stopped = _check(process)
        process.send_signal(signal.SIGCONT)
    assert (stopped.returncode, "in state T" in stopped.stderr) == (1, True)
    assert _check(process).returncode == 1


def test_what_is_published_is_published_on_this_machine_alone() -> None:
    """The view listens on all addresses of its container: so compose gives it a token, always, and a local port."""
    text = (_ROOT / "compose.yaml").read_text(encoding="utf-8")
    ports = re.findall(r'ports: \[(".*?")\]', text)
    assert ports
    assert all(port.startswith('"127.0.0.1:') for port in ports)
    assert "${RT_SEG_TOKEN:?" in text
    assert "--token" not in text


@pytest.mark.parametrize("name", ["Dockerfile", "Dockerfile.nvidia"])
def test_images_run_without_root_and_are_pinned(name: str) -> None:
    """Every base has a version, and the last stage ends as a user with a number (which Kubernetes can check)."""
    text = (_ROOT / name).read_text(encoding="utf-8")
    bases = re.findall(r"^FROM (\S+)", text, flags=re.MULTILINE)
    assert all(re.search(r":\d+\.\d+", base) for base in bases)
    assert re.findall(r"^USER (.+)$", text, flags=re.MULTILINE) == ["10001:10001"]
    assert "HEALTHCHECK" in text
