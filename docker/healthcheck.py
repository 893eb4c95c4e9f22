"""Whether the rt-seg of a container is well: exit code 0, or 1 and a line that says why not.

With ``--serve`` (or ``serve`` in a settings file) its ``/healthz`` must answer. Without, there is nobody to ask: then
its process must be alive, neither stopped nor a zombie.

Usage: healthcheck.py [PID], by default 1, which is rt-seg in its container.
"""

import ssl
import sys
import tomllib
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

_DEFAULT = "127.0.0.1:8420"
_SECONDS = 4


def main(pid: str = "1") -> str | None:
    """What is wrong, or None."""
    process = Path("/proc") / pid
    try:
        state = process.joinpath("stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
        arguments = process.joinpath("cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError as exc:
        return f"process {pid}: {exc.strerror}"
    if state in "TtZX":
        return f"process {pid} is in state {state}"
    settings = _settings(process / "cwd", arguments)
    address = _given(arguments, "--serve", _DEFAULT) or settings.get("serve")
    if address is None:
        return None
    secure = _given(arguments, "--tls-cert", "") or settings.get("tls_cert") or settings.get("tls-cert")
    return _ask(f"http{'s' if secure else ''}://127.0.0.1:{str(address).rpartition(':')[2]}/healthz")


def _given(arguments: Sequence[str], name: str, default: str) -> str | None:
    """The value of an option; the default where it stands alone; None where it was not given."""
    for place, argument in enumerate(arguments):
        option, _, value = argument.partition("=")
        if option == name:
            follows = arguments[place + 1] if place + 1 < len(arguments) else ""
            return value or (follows if ":" in follows or name != "--serve" else default)
    return None


def _settings(folder: Path, arguments: Sequence[str]) -> dict[str, object]:
    path = _given(arguments, "--config", "")
    if not path:
        return {}
    try:
        return tomllib.loads((folder / path).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        return {}  # rt-seg itself refuses it, and ends


def _ask(url: str) -> str | None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # itself, whatever name the certificate bears
    try:
        with urllib.request.urlopen(url, timeout=_SECONDS, context=context) as answer:  # noqa: S310  # http(s) as above
            return None if answer.status == 200 else f"{url} answers {answer.status}"
    except (OSError, urllib.error.URLError) as exc:
        return f"{url}: {exc}"


if __name__ == "__main__":
    wrong = main(*sys.argv[1:2])
    if wrong is not None:
        sys.exit(wrong)
