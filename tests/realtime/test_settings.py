"""What follows from the settings of a stream, before anything is opened."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from rt_seg.cli import app
from rt_seg.realtime.settings import StreamSettings

CAMERA: dict[str, Any] = {"camera_size": "640x480", "camera_fps": 30.0, "camera_format": "MJPG"}


@pytest.mark.parametrize("source", ["clip.mp4", "demo", "rtsp://user:secret@127.0.0.1/a"])
def test_what_is_asked_of_a_camera_is_said_to_be_unused_without_one(source: str) -> None:
    """Each such setting is named, and nothing of an address is."""
    lines = StreamSettings(source, **CAMERA).unused
    names = [f"--{name.replace('_', '-')}" for name in CAMERA]
    assert [line.split(" is not used")[0] for line in lines] == names
    assert "secret" not in str(lines)


def test_attempts_to_open_a_file_again_are_said_to_be_unused() -> None:
    """Also where the file plays as if it were a camera: its end is an end."""
    assert [line.split()[0] for line in StreamSettings("clip.mp4", live=True, reconnect=3).unused] == ["--reconnect"]


@pytest.mark.parametrize("source", ["0", "/dev/video0"])
def test_a_camera_uses_its_settings(source: str) -> None:
    """There is nothing to say then; nor of settings that were not given."""
    assert StreamSettings(source, **CAMERA, reconnect=3).unused == ()
    assert StreamSettings("udp://127.0.0.1:5000", reconnect=3).unused == ()
    assert StreamSettings("clip.mp4").unused == ()


def test_an_unused_option_is_said_before_the_source_is_opened(tmp_path: Path) -> None:
    """One line on standard error, which ends nothing by itself."""
    done = CliRunner().invoke(app, ["stream", str(tmp_path / "none.mp4"), "--camera-fps", "30"])
    assert done.exit_code == 3
    note, error = done.stderr.splitlines()
    assert note == "--camera-fps is not used: the source is no camera"
    assert error.startswith("rt-seg: ")
