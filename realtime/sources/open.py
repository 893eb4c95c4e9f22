"""`open_source`: what the user named, as a `Source`."""

import glob
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from rt_seg.errors import SourceError

from .address import path_for_people
from .selection import Selection
from .source import Source

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .camera import CameraMode

# PyAV and OpenCV are imported by the source that needs them, when it is opened

DEMO = "demo"
_CAMERA_DEVICES = "/dev/video"
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_NETWORK_SCHEMES = ("rtsp", "rtsps", "http", "https", "udp", "rtmp", "srt")


def is_live(uri: str) -> bool:
    """Whether `open_source` would open a camera or a network address."""
    scheme = _SCHEME.match(uri)
    return is_camera(uri) if scheme is None else scheme.group(1).lower() != "file"


def open_source(
    uri: str,
    *,
    start: float = 0.0,
    duration: float | None = None,
    limit: int | None = None,
    camera: "CameraMode | None" = None,
    timeout: float | None = None,
) -> Source:
    """Open a video file, a folder or glob of images, a camera, a network address, or the packaged clip.

    Args:
        uri: A path; a pattern such as ``frames/*.png``; a camera's index (``0``) or device (``/dev/video0``); an
            address (rtsp, rtsps, http, https, udp, rtmp, srt); or the word ``demo``. A file of one of these names is
            reached by its path: ``./demo``, ``./0``.
        start: Stream time in seconds at which delivery begins; files and images only.
        duration: Seconds to deliver; None: to the end.
        limit: Frames to deliver at most; None: all.
        camera: What a camera is asked for.
        timeout: Seconds that a network address may stay silent; None: 10.

    Returns:
        An open source; the caller closes it.

    Raises:
        SourceError: It cannot be opened or holds no frame; the message says why and what to do.
        InputError: Start, duration or limit can never be.
    """
    selection = Selection(start, duration, limit)
    scheme = _SCHEME.match(uri)
    if scheme is not None:
        return _open_address(uri, scheme.group(1).lower(), selection, timeout)
    if uri == DEMO:
        return _open_demo(selection)
    if is_camera(uri):
        return _open_camera(uri, selection, camera)
    if not uri:
        raise SourceError("the source is empty; give a video, a folder of images, a camera, an address, or demo")
    return _open_path(uri, selection)


def is_camera(uri: str) -> bool:
    """Whether `open_source` would open a camera or capture card."""
    return uri != DEMO and (uri.isdecimal() or uri.startswith(_CAMERA_DEVICES) or Path(uri).is_char_device())


def _open_address(uri: str, scheme: str, selection: Selection, timeout: float | None) -> Source:
    if scheme == "file":
        return _open_path(unquote(urlsplit(uri).path), selection)
    if scheme not in _NETWORK_SCHEMES:
        raise SourceError(f"{scheme}:// is not supported; use one of {', '.join(_NETWORK_SCHEMES)}")
    from .network import NetworkSource

    return NetworkSource(uri, selection) if timeout is None else NetworkSource(uri, selection, timeout_seconds=timeout)


def _open_demo(selection: Selection) -> Source:
    from .video import VideoSource

    path = Path(__file__).resolve().parent.parent / "demo" / "demo.mp4"
    if not path.is_file():
        raise SourceError(f"{path}: the packaged clip is missing; install rt-seg again")
    return VideoSource(path, selection, name=DEMO)


def _open_camera(device: str, selection: Selection, mode: "CameraMode | None") -> Source:
    from .camera import CameraSource

    return CameraSource(device, selection, mode)


def _open_path(text: str, selection: Selection) -> Source:
    path = Path(text)
    if path.is_dir():
        return _open_images(path.iterdir(), f"{path}", "a folder without images", selection)
    # a file whose name happens to hold brackets is a file
    if not path.exists() and glob.has_magic(text):
        matches = map(Path, glob.iglob(text, recursive=True))  # noqa: PTH207  # Path.glob takes no absolute pattern
        return _open_images(matches, path_for_people(text), "matches no image", selection)
    from .images import IMAGE_SUFFIXES

    if path.suffix.lower() in IMAGE_SUFFIXES and path.exists():
        return _open_images([path], text, "not a regular file", selection)
    from .video import VideoSource

    return VideoSource(path, selection)


def _open_images(paths: "Iterable[Path]", name: str, problem: str, selection: Selection) -> Source:
    from .images import IMAGE_SUFFIXES, ImageSource, images_among

    try:
        images = images_among(paths)
    except OSError as exc:
        raise SourceError(f"{name}: cannot be read ({exc.strerror}); change its permissions") from exc
    if not images:
        kinds = " ".join(sorted(suffix[1:] for suffix in IMAGE_SUFFIXES))
        raise SourceError(f"{name}: {problem}; give a video, or images ({kinds})")
    return ImageSource(images, selection, name=name)
