"""`open_source`: what each kind of name leads to, and one line for what leads nowhere."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from rt_seg.errors import SourceError, SourceInterrupted
from rt_seg.realtime.sources.open import open_source

WriteClip = Callable[..., Path]
OpenFiles = Callable[[], set[str]]


def _text_as_mp4(folder: Path) -> Path:
    path = folder / "text.mp4"
    path.write_text("this is no video\n" * 100)
    return path


def _text(folder: Path) -> Path:
    path = folder / "notes.txt"
    path.write_text("this is no video\n" * 100)
    return path


def _empty(folder: Path) -> Path:
    path = folder / "empty.mp4"
    path.touch()
    return path


def _no_frames(suffix: str, codec: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = folder / f"none.{suffix}"
        with av.open(path, "w") as container:
            stream = container.add_stream(codec, rate=25)
            assert isinstance(stream, av.VideoStream)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            container.start_encoding()
        return path

    return write


def _sound_only(folder: Path) -> Path:
    path = folder / "sound.m4a"
    with av.open(path, "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=48_000)
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 9600), np.float32), format="fltp", layout="stereo")
        frame.sample_rate = 48_000
        container.mux([*stream.encode(frame), *stream.encode(None)])
    return path


def _folder_without_images(folder: Path) -> Path:
    (folder / "notes.txt").write_text("nothing to see")
    return folder


def _unknown_codec(folder: Path) -> Path:
    """A video whose codec no decoder knows: its four letters are changed."""
    path = folder / "unknown.avi"
    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), "bgr24")
        container.mux([*stream.encode(frame), *stream.encode(None)])
    path.write_bytes(path.read_bytes().replace(b"FMP4", b"QQQQ"))
    return path


def _pipe(folder: Path) -> Path:
    path = folder / "pipe.mp4"
    os.mkfifo(path)
    return path


REFUSED: dict[str, tuple[Callable[[Path], Path], str]] = {
    "missing file": (lambda folder: folder / "nope.mp4", "no such file; check the path"),
    "missing picture": (lambda folder: folder / "nope.png", "no such file; check the path"),
    "folder without images": (_folder_without_images, "a folder without images; give a video, or images"),
    "pattern without match": (lambda folder: folder / "*.png", "matches no image; give a video, or images"),
    "text named mp4": (_text_as_mp4, "not a video that can be read"),
    "text": (_text, "not a video (it looks like text)"),
    "empty file": (_empty, "the file is empty"),
    "mp4 without frames": (_no_frames("mp4", "libx264"), "it holds no picture; give a file with a video stream"),
    "mkv without frames": (_no_frames("mkv", "libx264"), "it ends before the first picture"),
    "avi without frames": (_no_frames("avi", "mpeg4"), "it holds no frame that can be decoded; give another file"),
    "sound only": (_sound_only, "it holds only audio; give a file with a video stream"),
    "unknown codec": (_unknown_codec, "has no decoder for its video; convert it to H.264"),
    "named pipe": (_pipe, "not a regular file"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_holds_no_video_is_refused(
    case: str, open_files: OpenFiles, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """One line that begins with the path and says what to do; nothing stays open, nothing is printed."""
    make, message = REFUSED[case]
    path = make(tmp_path)
    before = open_files()
    with pytest.raises(SourceError) as caught:
        open_source(str(path))
    assert not isinstance(caught.value, SourceInterrupted)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert open_files() == before
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("", "the source is empty; give a video"),
        ("ftp://host/clip.mp4", "ftp:// is not supported; use one of rtsp, rtsps, http, https, udp, rtmp, srt"),
        ("srt://127.0.0.1:9000", "this FFmpeg was built without srt; have the sender offer rtsp, udp or http"),
    ],
)
def test_addresses_that_cannot_be_used(uri: str, message: str) -> None:
    """An unknown scheme, one that FFmpeg's wheel lacks, and nothing at all."""
    with pytest.raises(SourceError, match=message):
        open_source(uri)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_refused(write_clip: WriteClip, tmp_path: Path) -> None:
    """The line speaks of permissions."""
    path = write_clip(tmp_path / "clip.mp4")
    path.chmod(0)
    with pytest.raises(SourceError, match="no permission to read it"):
        open_source(str(path))


def test_demo_is_the_packaged_clip() -> None:
    """The word opens the clip that ships; its name says no path."""
    source = open_source("demo", limit=3)
    frames = list(source)
    source.close()
    assert source.info.name == "demo"
    assert source.info.path is not None
    assert source.info.path.name == "demo.mp4"
    assert [frame.image.shape[:2] for frame in frames] == [(source.info.height, source.info.width)] * 3


@pytest.mark.parametrize("name", ["demo", "0", "a:b.mp4", "with space [1] *.mp4", "%03d.mp4", "ümläut.mp4", "-x.mp4"])
def test_a_file_is_reached_whatever_its_name(
    name: str, write_clip: WriteClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names that mean something else, or something to FFmpeg, are files when written as a path."""
    write_clip(tmp_path / "clip.mp4").rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    for uri in (f"./{name}", str(tmp_path / name), (tmp_path / name).as_uri()):
        source = open_source(uri)
        assert len(list(source)) == 20
        source.close()


def test_a_folder_may_look_like_a_video(tmp_path: Path) -> None:
    """A folder of images is one, whatever its name."""
    folder = tmp_path / "frames.mp4"
    folder.mkdir()
    cv2.imwrite(str(folder / "1.png"), np.zeros((8, 8, 3), np.uint8))
    source = open_source(str(folder))
    assert source.info.kind == "images"
    source.close()


def test_asking_for_a_source_loads_only_what_it_needs() -> None:
    """`open_source` is imported without FFmpeg: the command line answers at once."""
    code = "import sys, rt_seg.realtime.sources.open; print(*{'av', 'cv2'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() in {"", "cv2"}
