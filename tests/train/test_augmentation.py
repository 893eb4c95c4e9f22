"""Augmentation: masks follow exactly, nothing is written to, the same seed gives the same."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from rt_seg.engines import resize_image
from rt_seg.train import appearance
from rt_seg.train.data import Pair, find_pairs, read_pair
from rt_seg.train.geometry import Warp, close_up_warp, identity_warp, random_warp
from rt_seg.train.pipeline import TrainingImages, training_batches

Hide = Callable[[np.ndarray, np.ndarray, np.random.Generator], tuple[np.ndarray, np.ndarray]]


def disc(size: int = 128) -> np.ndarray:
    """A mask with one tilted ellipse."""
    mask = np.zeros((size, size), np.uint8)
    cv2.ellipse(mask, (size // 2 + 8, size // 2 - 6), (size // 5, size // 8), 30, 0, 360, 255, -1)
    return mask


@pytest.mark.parametrize("seed", range(12))
def test_mask_follows_every_warp(seed: int) -> None:
    """An image that shows its own mask still shows it after any warp, but for the rounding of single edge pixels."""
    mask = disc()
    image, warped = random_warp(np.random.default_rng(seed), 128).apply(cv2.merge([mask] * 3).astype(np.uint8), mask)
    assert image.shape == (64, 64, 3)
    assert set(np.unique(warped)) <= {0, 255}
    assert np.array_equal(image[..., 0] > 127, warped > 0)


def close_ups(mask: np.ndarray, light: int = 120) -> list[Warp]:
    """The close-ups that forty seeds find of an evenly lit picture."""
    image = np.full((*mask.shape, 3), light, np.uint8)
    found = (close_up_warp(np.random.default_rng(seed), image, mask) for seed in range(40))
    return [warp for warp in found if warp is not None]


def test_close_ups_are_of_the_polyp_or_of_none() -> None:
    """A close-up magnifies, and shows a good part of the polyp, or nothing at all of it; both are common."""
    mask = np.roll(disc(), (-24, -30), axis=(0, 1))
    shares: list[float] = []
    for warp in close_ups(mask):
        assert abs(np.linalg.det(warp.matrix[:, :2])) > 1
        image, warped = warp.apply(cv2.merge([mask] * 3).astype(np.uint8), mask)
        assert np.array_equal(image[..., 0] > 127, warped > 0)
        shares.append(float(warped.mean() / 255))
    assert all(share == 0 or 0.05 < share < 0.95 for share in shares)
    assert sum(share == 0 for share in shares) > 8
    assert sum(share > 0 for share in shares) > 8


def test_no_close_up_of_what_shows_no_tissue() -> None:
    """Black borders are not magnified, and a polyp that fills the picture leaves no part without one."""
    assert not close_ups(np.zeros((128, 128), np.uint8), light=4)
    assert not close_ups(np.full((128, 128), 255, np.uint8))


def test_identity_is_what_deployment_does() -> None:
    """Without augmentation the picture is exactly that of resize_image."""
    picture = np.random.default_rng(0).integers(0, 256, (90, 70, 3), np.uint8)
    double = resize_image(picture, 128, 128, "linear")
    image, _mask = identity_warp().apply(double, np.zeros((128, 128), np.uint8))
    assert np.array_equal(image, resize_image(picture, 64, 64))


@pytest.mark.parametrize(
    "hide", [appearance.mask_field_of_view, appearance.add_inset, appearance.add_instrument], ids=lambda f: f.__name__
)
def test_hidden_tissue_has_no_mask(hide: Hide) -> None:
    """What covers tissue clears the mask there, adds none elsewhere, and leaves its inputs alone."""
    image = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
    before, mask = image.copy(), np.full((128, 128), 255, np.uint8)
    cleared = 0
    for seed in range(20):
        covered, kept = hide(image, mask, np.random.default_rng(seed))
        untouched = kept > 0
        cleared += int((~untouched).sum())
        # text and a thin wire cover without clearing; they are a small part of the picture
        same = (covered == image).all(axis=2)
        assert same[untouched].mean() > 0.9
        assert not same[~untouched].any()
    assert cleared > 0
    assert np.array_equal(image, before)
    assert (mask == 255).all()


def test_exchanged_colours_are_those_of_the_other_picture() -> None:
    """Tissue moves towards the other one's colour, black stays black and reflections stay white."""
    rng = np.random.default_rng(0)
    image = rng.normal((70, 80, 180), 8, (128, 128, 3)).clip(0, 255).astype(np.uint8)
    image[:, :32], image[40:48, 60:68] = 5, 250
    other = rng.normal((120, 150, 170), 12, (96, 96, 3)).clip(0, 255).astype(np.uint8)
    before, gaps = image.copy(), list[float]()
    for seed in range(8):
        exchanged = appearance.exchange_colour(image, other, np.random.default_rng(seed))
        gaps.append(float(np.abs(exchanged[60:, 40:].mean(axis=(0, 1)) - other.mean(axis=(0, 1))).max()))
        assert np.array_equal(exchanged[:, :32], before[:, :32])
        assert np.array_equal(exchanged[40:48, 60:68], before[40:48, 60:68])
    assert min(gaps) < 12
    assert 25 < max(gaps) < 50  # it stays behind by up to two thirds of 70
    assert np.array_equal(image, before)


def test_colours_are_not_exchanged_with_darkness() -> None:
    """A black picture has none to give or to change."""
    image, black = np.full((64, 64, 3), (70, 80, 180), np.uint8), np.zeros((64, 64, 3), np.uint8)
    assert np.array_equal(appearance.exchange_colour(image, black, np.random.default_rng(0)), image)
    assert np.array_equal(appearance.exchange_colour(black, image, np.random.default_rng(0)), black)


def test_fields_of_interlacing_lie_around_the_mask() -> None:
    """The mean of both fields is the still picture: the mask needs no change."""
    mask = disc()
    image = cv2.merge([mask] * 3).astype(np.uint8)
    woven = appearance.interlace(image, np.random.default_rng(1))
    assert not np.array_equal(woven, image)
    columns = np.arange(128)
    centre = (image[..., 0] * columns).sum() / image[..., 0].sum()
    assert abs((woven[..., 0] * columns).sum() / woven[..., 0].sum() - centre) < 1


@pytest.mark.parametrize("seed", range(8))
def test_appearance_keeps_type_and_inputs(seed: int) -> None:
    """Any chain of changes gives a uint8 picture of the same size, a binary mask, and writes to neither input."""
    rng = np.random.default_rng(seed)
    image, mask = rng.integers(0, 256, (64, 64, 3), np.uint8), disc(64)
    image.flags.writeable = mask.flags.writeable = False
    changed, kept = appearance.change_appearance(image, mask, rng)
    assert changed.dtype == kept.dtype == np.uint8
    assert changed.shape == (64, 64, 3)
    assert set(np.unique(kept)) <= {0, 255}
    assert not (kept > mask).any()


def test_same_seed_gives_the_same_batches(data_folder: Path) -> None:
    """Batches depend on the seed alone; another seed gives others; a resumed run sees what an unbroken one sees."""
    images = TrainingImages(find_pairs([data_folder]), 32)

    def batches(seed: int, first_epoch: int = 0) -> list[np.ndarray]:
        dataset, steps = training_batches(
            images, batch_size=4, augmentation="strong", seed=seed, first_epoch=first_epoch, epochs=2
        )
        assert steps == 3
        return [picture.numpy() for picture, _mask in dataset]

    whole = batches(5)
    assert np.array_equal(whole, batches(5))
    assert np.array_equal(whole[3:], batches(5, first_epoch=1))
    assert not np.array_equal(whole, batches(6))


def test_polyp_free_images_are_repeated(data_folder: Path) -> None:
    """Two of ten pictures are empty; held three times, they make six of fourteen samples of a pass."""
    images = TrainingImages(find_pairs([data_folder]), 32)
    dataset, steps = training_batches(
        images, batch_size=14, augmentation="none", seed=0, first_epoch=0, epochs=1, repeat_polyp_free=3
    )
    [(_pictures, masks)] = list(dataset)
    assert steps == 1
    assert int((masks.numpy().max(axis=(1, 2, 3)) == 0).sum()) == 6


def test_field_of_view_is_trained_on_unless_it_would_cut_a_polyp(tmp_path: Path) -> None:
    """With `auto` a picture between borders fills the sample; one whose mask lies on the border is taken whole."""
    pairs: list[Pair] = []
    for name, left in (("inside", 260), ("outside", 20)):
        image, mask = np.zeros((240, 480, 3), np.uint8), np.zeros((240, 480), np.uint8)
        image[:, 220:460] = (60, 80, 160)
        mask[100:140, left : left + 80] = 255
        pairs.append(Pair(name, tmp_path / f"{name}.png", tmp_path / f"{name}-mask.png"))
        cv2.imwrite(str(pairs[-1].image), image)
        cv2.imwrite(str(pairs[-1].mask), mask)
    whole, field = TrainingImages(pairs, 64), TrainingImages(pairs, 64, "auto")
    rng = np.random.default_rng(0)
    lit = [[(images.sample(number, "none", rng)[0] > 0).mean() for number in (0, 1)] for images in (whole, field)]
    assert lit[0] == pytest.approx([0.5, 0.5], abs=0.02)
    assert lit[1] == pytest.approx([1.0, 0.5], abs=0.02)
    assert (field.sample(0, "none", rng)[1] > 0).mean() == pytest.approx(40 * 80 / 240**2, rel=0.2)


def test_pictures_without_augmentation_are_what_was_read(data_folder: Path) -> None:
    """Image and mask of a sample are those of the files, at the network's size."""
    pair = find_pairs([data_folder])[4]
    image, mask = TrainingImages([pair], 48).sample(0, "none", np.random.default_rng(0))
    original, truth = read_pair(pair)
    assert np.array_equal(image, resize_image(original, 48, 48))
    assert abs(int((mask > 0).sum()) * 4 - int((truth > 0).sum())) < 60
