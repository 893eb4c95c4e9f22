"""The picture's state: said when it holds, not for a single frame, and taken back when it is over."""

import io
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest

from rt_seg.engines.samples import load_samples
from rt_seg.realtime.picture_state import PictureJudge
from rt_seg.realtime.state import StreamState

UInt8Array = npt.NDArray[np.uint8]
SAMPLES = [sample.image for sample in load_samples()]


def noisy(image: UInt8Array, frame: int, levels: float) -> UInt8Array:
    """With sensor noise of so many levels."""
    noise = np.random.default_rng(frame).normal(0, levels, image.shape)
    return np.asarray(np.clip(np.rint(image + noise), 0, 255), np.uint8)


def live(image: UInt8Array, frame: int) -> UInt8Array:
    """The picture as a camera delivers it: never twice the same."""
    return noisy(np.asarray(np.roll(image, frame, axis=1)), frame, 2)


def blurred(image: UInt8Array) -> UInt8Array:
    """Out of focus by far."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), image.shape[1] / 50), np.uint8)


def burnt(image: UInt8Array) -> UInt8Array:
    """Much too bright."""
    return np.asarray(cv2.convertScaleAbs(image, alpha=1.5, beta=120), np.uint8)


def states(images: list[UInt8Array], judge: PictureJudge | None = None, start: float = 0.0) -> list[StreamState | None]:
    """What is said of each, at 25 frames a second."""
    judge = judge or PictureJudge()
    return [judge(image, start + i / 25) for i, image in enumerate(images)]


@pytest.mark.parametrize("image", SAMPLES)
def test_real_pictures_can_be_assessed(image: UInt8Array) -> None:
    """None of the samples is in a bad state."""
    assert set(states([live(image, i) for i in range(15)])) == {None}


@pytest.mark.slow
@pytest.mark.parametrize("image", SAMPLES[:2])
def test_bad_pictures_are_named(image: UInt8Array) -> None:
    """Blurred, overexposed and black, each after less than half a second, and good again after the next."""
    for spoil, name in ((blurred, StreamState.BLURRED), (burnt, StreamState.OVEREXPOSED)):
        judge = PictureJudge()
        said = states([live(spoil(image), i) for i in range(13)], judge)
        assert said[:10] == [None] * 10
        assert said[-1] is name
        assert states([live(image, i) for i in range(8)], judge, 0.6)[-1] is None
    dark = [live(np.zeros_like(image), i) for i in range(13)]
    assert states(dark)[-1] is StreamState.BLACK


def test_a_single_bad_frame_is_not_said() -> None:
    """Motion blur of an instant is nobody's business."""
    image = SAMPLES[0]
    frames = [live(blurred(image) if i == 5 else image, i) for i in range(12)]
    assert set(states(frames)) == {None}


def test_a_picture_that_stands_still_is_frozen() -> None:
    """After a second of the same picture, give or take a level; one live frame and it is over soon."""
    still = SAMPLES[0]
    wobble = np.clip(still, 0, 254) + (np.indices(still.shape[:2]).sum(axis=0) % 2).astype(np.uint8)[..., None]
    judge = PictureJudge()
    said = states([np.asarray(wobble if i % 2 else still, np.uint8) for i in range(30)], judge)
    assert said[:25] == [None] * 25
    assert said[-1] is StreamState.FROZEN
    assert states([live(still, i) for i in range(8)], judge, 1.2)[-1] is None


def encoded(images: list[UInt8Array], codec: str, gop: int) -> list[UInt8Array]:
    """The pictures as they come out of a video of 25 frames a second with so many from key frame to key frame."""
    file = io.BytesIO()
    with av.open(file, "w", format="mpegts") as container:
        stream: Any = container.add_stream(codec, rate=25, options={"g": str(gop), "b": "2M"})
        stream.width, stream.height, stream.pix_fmt = images[0].shape[1], images[0].shape[0], "yuv420p"
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode(None))
    file.seek(0)
    with av.open(file, "r") as recorded:
        return [np.asarray(frame.to_ndarray(format="bgr24"), np.uint8) for frame in recorded.decode(video=0)]


@pytest.mark.slow
@pytest.mark.parametrize(("codec", "gop"), [("libx264", 25), ("libx264", 50), ("mpeg2video", 12)])
def test_a_picture_that_stands_still_behind_a_codec_is_frozen(codec: str, gop: int) -> None:
    """Each key frame renders it a little differently: it is frozen all the same, soon after it stood still."""
    still = np.asarray(cv2.resize(SAMPLES[0], (640, 480)), np.uint8)
    video = encoded([*(live(still, i) for i in range(20)), *[noisy(still, 0, 2)] * 80], codec, gop)
    judge = PictureJudge()
    said = [judge(image, i / 10) for i, image in enumerate(video[::2])]  # it is looked at some ten times a second
    assert set(said[:18]) == {None}
    assert set(said[30:]) == {StreamState.FROZEN}


@pytest.mark.parametrize("image", SAMPLES[:2])
def test_a_quiet_scene_with_little_noise_is_not_frozen(image: UInt8Array) -> None:
    """A good camera before tissue that holds still differs by single levels only."""
    assert set(states([noisy(image, i, 0.5) for i in range(32)])) == {None}


def test_repeated_frames_of_a_slower_source_are_not_frozen() -> None:
    """Each picture three times, as of a source of 8 frames a second, is live."""
    assert set(states([live(SAMPLES[0], i // 3) for i in range(36)])) == {None}


def test_black_goes_before_frozen() -> None:
    """A dead black picture is black; nobody needs to know that it stands still as well."""
    assert states([np.zeros((480, 640, 3), np.uint8)] * 40)[-1] is StreamState.BLACK


def test_reset_forgets() -> None:
    """After a reset the next source starts without a state."""
    judge = PictureJudge()
    states([np.zeros((480, 640, 3), np.uint8)] * 40, judge)
    judge.reset()
    assert judge.state is None
    assert judge(SAMPLES[0], 0.0) is None


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 900, 3), (1080, 1920, 3)])
def test_any_size_is_taken(shape: tuple[int, int, int]) -> None:
    """Tiny and long pictures are judged, too."""
    assert PictureJudge()(np.full(shape, 128, np.uint8), 0.0) is None
