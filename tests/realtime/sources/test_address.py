"""Addresses and paths for people: what they show holds no user, password or key."""

from pathlib import Path

import pytest

from rt_seg.errors import SourceError
from rt_seg.realtime.sources.address import path_for_people, without_credentials
from rt_seg.realtime.sources.open import open_source


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://user:p%40ss@camera.local:554/a/b?password=x#y", "rtsp://camera.local:554/a/b"),
        ("HTTP://camera/", "http://camera/"),
        ("udp://@239.0.0.1:1234", "udp://239.0.0.1:1234"),
        ("rtsp://user:pass@[fe80::1]:554/x", "rtsp://[fe80::1]:554/x"),
        ("https://host/case-12/video_1.mp4", "https://host/case-12/video_1.mp4"),
        ("rtsp://admin:12/secret@host/s", "rtsp://..."),
        ("rtsp://admin:12?secret@host/s", "rtsp://..."),
        ("rtsp://admin:12#secret@host/s", "rtsp://..."),
        ("rtsp://host/user=admin_password=secret_channel=1.sdp", "rtsp://host/..."),
        ("rtsp://host/live/x;pw=secret", "rtsp://host/live/..."),
        ("http://host/admin:secret/video", "http://host/..."),
        ("http://host/hls/d41d8cd98f00b204e9800998ecf8427e/a.m3u8", "http://host/hls/..."),
        ("rtmp://host/live/secret", "rtmp://host/live/..."),
        ("rtmps://host:443/app/secret/more", "rtmps://host:443/app/..."),
    ],
)
def test_addresses_for_people(address: str, shown: str) -> None:
    """Scheme, host and port stay, and of the path what is plain; what may hold a secret goes."""
    assert without_credentials(address) == shown


@pytest.mark.parametrize("address", ["rtsp://host:port/x", "rtsp://user:secret@[::1/x", "rtsp://user:secret"])
def test_a_malformed_address_is_refused(address: str) -> None:
    """Host or port that cannot be: one line, without the address, which may hold a password."""
    with pytest.raises(SourceError, match="malformed host or port") as caught:
        open_source(address)
    assert "secret" not in str(caught.value)
    assert caught.value.__suppress_context__  # urllib's error says what the port was


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("videos/a b:c.mp4", "videos/a b:c.mp4"),
        ("rtsp:/admin:secret@host/s", "rtsp:/..."),
        ("rtmp:/host/live/secret", "rtmp:/..."),
        ("admin:secret@host/s", "...@host/s"),
        ("rtsp//admin:sec@ret@host/s", "...@host/s"),
        ("host:554/user=secret_password=secret.sdp", "host:554/user=..."),
        ("host/x?secret", "host/x?..."),
        ("rtsp:/host/secret*", "rtsp:/..."),
    ],
)
def test_a_missing_path_that_may_be_an_address_is_named_without_secrets(
    path: str, shown: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mistyped address is taken for a path or a pattern; the line names it up to where a secret may begin."""
    assert path_for_people(path) == shown
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError) as caught:
        open_source(path)
    assert str(caught.value).startswith(f"{shown}: ")


def test_a_file_that_is_there_is_named_whatever_its_name(tmp_path: Path) -> None:
    """Only of what is not there is anything left out."""
    path = tmp_path / "case=1@home.mp4"
    path.write_text("no video")
    with pytest.raises(SourceError) as caught:
        open_source(str(path))
    assert str(caught.value).startswith(f"{path}: ")
