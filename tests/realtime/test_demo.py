"""The packaged demo: a real H.264 clip whose masks are exact, and the samples beside it."""

from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rt_seg.engines.samples import load_samples
from rt_seg.errors import DataError
from rt_seg.realtime.demo import decode_runs, demo_masks, demo_video, encode_runs
from rt_seg.realtime.demo import make_demo as make
from rt_seg.realtime.sources.open import open_source

UInt8Array = npt.NDArray[np.uint8]


def test_the_clip_is_what_it_says() -> None:
    """H.264, yuv420p, 1280x720 at 25 frames a second, tagged BT.709 limited range, small enough to ship."""
    with av.open(str(demo_video())) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        assert (context.name, context.pix_fmt, context.width, context.height) == ("h264", "yuv420p", 1280, 720)
        tags = (context.colorspace, context.color_range, context.color_primaries, context.color_trc)
        assert tags == (1, 1, 1, 1)
        assert stream.average_rate == 25
        assert 10 < stream.frames / 25 < 13
    assert demo_video().stat().st_size < 2_500_000


@pytest.mark.slow
def test_there_is_a_mask_for_each_frame() -> None:
    """Masks are as many and as large as frames; begin and changes of scene show no polyp, three scenes do."""
    sizes = [np.count_nonzero(mask) for mask in demo_masks()]
    assert len(sizes) == sum(1 for _ in open_source("demo"))
    shows = np.array(sizes) > 0
    assert not shows[:70].any()
    assert int(np.count_nonzero(np.diff(shows.astype(int)) == 1)) == 3
    assert 0.3 < shows.mean() < 0.8


def test_every_so_many_masks_are_those_of_their_frames() -> None:
    """With a step, the masks are those that stand at its multiples."""
    every, some = list(demo_masks()), list(demo_masks(7))
    assert len(some) == len(every[::7])
    assert all(np.array_equal(one, other) for one, other in zip(some, every[::7], strict=True))


def test_masks_are_binary_and_lie_in_the_field() -> None:
    """0 and 255 only, and nothing on the black screen around the picture."""
    field = np.zeros((make.HEIGHT, make.WIDTH), np.uint8)
    rows = slice(make.FIELD_Y, make.FIELD_Y + make.FIELD_HEIGHT)
    field[rows, make.FIELD_X : make.FIELD_X + make.FIELD_WIDTH] = make.field_mask()
    for mask in demo_masks(10):
        assert mask.shape == (720, 1280)
        assert mask.dtype == np.uint8
        assert not set(np.unique(mask).tolist()) - {0, 255}
        assert not mask[field == 0].any()


@settings(deadline=None)
@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.sampled_from([0, 255])))
def test_runs_describe_any_mask(mask: UInt8Array) -> None:
    """Encoding and decoding give the mask back, also if it is empty, full, or ends within a run."""
    assert (decode_runs(encode_runs(mask), *mask.shape) == mask).all()


def stills(folder: Path, patch: tuple[int, int]) -> Path:
    """A PolypGen folder with bright plain stills, each with a red square that is its polyp."""
    for kind in ("images", "masks"):
        (folder / "C1" / kind).mkdir(parents=True)
    x, y = patch
    image, mask = np.full((512, 640, 3), 120, np.uint8), np.zeros((512, 640), np.uint8)
    image[y : y + 60, x : x + 60], mask[y : y + 60, x : x + 60] = (0, 0, 250), 255
    for name in make.SCENES:
        cv2.imwrite(str(folder / "C1" / "images" / f"{name}.jpg"), image)
        cv2.imwrite(str(folder / "C1" / "masks" / f"{name}.png"), mask)
    return folder


@pytest.mark.slow
def test_masks_follow_the_camera_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A coloured square seen by the simulated camera lies under its mask in the clip that is written."""
    path = (make.Pose(0.0, 0.4, 0.4, 1.5, 5, 0), make.Pose(0.4, 0.6, 0.55, 1.3, -5, 0))
    monkeypatch.setattr(make, "SCENES", {"564OLCV1_100H0002": path})
    make.main([str(stills(tmp_path, (300, 230))), str(tmp_path)])
    with av.open(str(tmp_path / "demo.mp4")) as container:
        images = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    with np.load(tmp_path / "demo_masks.npz", allow_pickle=False) as file:
        ends = np.cumsum(file["counts"])
        masks = [
            decode_runs(file["gaps"][end - count : end], 720, 1280)
            for end, count in zip(ends, file["counts"], strict=True)
        ]
    assert len(images) == len(masks) == 10
    for image, mask in zip(images, masks, strict=True):
        red = (image[..., 2].astype(int) - image[..., 0]) > 125
        assert (red & (mask > 0)).sum() / (red | (mask > 0)).sum() > 0.9


def test_a_polyp_in_a_change_of_scene_is_refused(tmp_path: Path) -> None:
    """Where two scenes are blended a polyp would have no exact mask, so the script does not go on."""
    scenes = make.read_scenes(stills(tmp_path, (300, 230)))
    with pytest.raises(DataError, match="polyp is in view"):
        make.fade_in(scenes[0], np.zeros((684, 856, 3), np.uint8), np.full((684, 856), 255, np.uint8), 0)


def test_a_missing_still_is_named(tmp_path: Path) -> None:
    """Another folder than PolypGen's is refused with the file that is missing."""
    with pytest.raises(DataError, match=r"C1/images/564OLCV1_100H0002.jpg"):
        make.read_scenes(tmp_path)


def test_samples_come_with_their_masks() -> None:
    """Five stills, four with a polyp, one without; masks binary and of the picture's size."""
    samples = load_samples()
    assert [bool(sample.mask.any()) for sample in samples] == [True, False, True, True, True]
    for sample in samples:
        assert sample.image.shape == (*sample.mask.shape, 3)
        assert not set(np.unique(sample.mask).tolist()) - {0, 255}


@pytest.mark.parametrize("folder", [demo_video().parent, demo_video().parents[2] / "engines" / "samples"])
def test_attribution_is_shipped_beside_the_pictures(folder: Path) -> None:
    """Authors, paper, licence and changes are named where the pictures are."""
    text = (folder / "ATTRIBUTION.md").read_text(encoding="utf-8")
    for part in ("Ali, S. et al.", "10.1038/s41597-023-01981-y", "CC BY 4.0", "Changes made"):
        assert part in text
