"""What a run ran on, so that it can be repeated."""

import importlib.metadata
import json
import platform
import subprocess
from pathlib import Path

PACKAGES = ("rt-seg", "tensorflow", "keras", "numpy", "opencv-python")


def describe_environment() -> str:
    """Versions, processor and the commit of rt-seg, as JSON."""
    values = {name: importlib.metadata.version(name) for name in PACKAGES}
    values |= {"python": platform.python_version(), "platform": platform.platform(), "source_commit": source_commit()}
    return json.dumps(values, indent=2) + "\n"


def source_commit() -> str:
    """The git commit of this code, ``unknown`` for an installed package."""
    home = Path(__file__).resolve().parent
    try:
        answer = subprocess.run(
            ["git", "-C", str(home), "rev-parse", "HEAD"],  # noqa: S607  git as the user has it
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return answer.stdout.strip()


def read_commit(path: Path) -> str:
    """The commit in what `describe_environment` wrote to a file, ``unknown`` without it."""
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["source_commit"])
    except (OSError, ValueError, KeyError):
        return "unknown"
