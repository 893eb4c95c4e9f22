"""Retouching: polyps vanish or stay, as wanted, and nothing else changes."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from rt_seg.train.retouch import erase_polyp, paste_polyp, retouch_beside

Retouch = Callable[[np.random.Generator, np.ndarray, np.ndarray], np.ndarray | None]

SIZE = 128
PALE, TISSUE = np.array((190, 200, 220)), np.array((70, 80, 180))
"""Colours of the polyp and of what is around it, BGR."""


def picture(mask: np.ndarray) -> np.ndarray:
    """Tissue with a fine grain, and a pale polyp where the mask is."""
    grain = np.random.default_rng(0).normal(0, 6, (SIZE, SIZE, 1))
    return np.clip(np.where(mask[..., None] > 0, PALE, TISSUE) + grain, 0, 255).astype(np.uint8)


def disc(x: int = 44, y: int = 50, radius: int = 14) -> np.ndarray:
    """A round mask."""
    mask = np.zeros((SIZE, SIZE), np.uint8)
    cv2.circle(mask, (x, y), radius, 255, -1)
    return mask


def near(mask: np.ndarray) -> np.ndarray:
    """Where retouching the mask may change the picture."""
    return cv2.dilate(mask, np.ones((13, 13), np.uint8)) > 0


@pytest.mark.parametrize("dark_columns", [0, 32], ids=["inside", "beside the frame"])
def test_an_erased_polyp_looks_like_the_tissue_around_it(dark_columns: int) -> None:
    """Its colour is gone, and fades where it touches the dark frame; the rest of the picture is as before."""
    mask = disc()
    mask[:, :dark_columns] = 0
    before = picture(mask)
    before[:, :dark_columns] = 6
    image, kept = before.copy(), mask.copy()
    for seed in range(8):
        erased = erase_polyp(np.random.default_rng(seed), image, mask)
        assert erased is not None
        share = erased[mask > 0].mean(axis=0) / TISSUE
        assert (share < 1.1).all()
        assert (share > (0.6 if dark_columns else 0.9)).all()
        assert np.array_equal(erased[~near(mask)], before[~near(mask)])
    assert np.array_equal(image, before)
    assert np.array_equal(mask, kept)


def test_every_polyp_of_a_picture_is_erased() -> None:
    """The mask is empty afterwards, so none may stay; and one is never covered by another."""
    mask = np.maximum(disc(30, 30, 10), disc(60, 44, 9))
    erased = erase_polyp(np.random.default_rng(0), picture(mask), mask)
    assert erased is not None
    assert np.abs(erased[mask > 0].astype(int) - TISSUE).max() < 60


def test_a_picture_retouched_beside_its_polyp_keeps_it() -> None:
    """The polyp's own pixels stay to the last bit, and something of its size changes elsewhere."""
    mask = disc()
    image = picture(mask)
    retouched = retouch_beside(np.random.default_rng(0), image, mask)
    assert retouched is not None
    changed = (retouched != image).any(axis=2)
    assert not changed[mask > 0].any()
    assert 0.5 < changed.sum() / np.count_nonzero(mask) < 2.5


@pytest.mark.parametrize("retouch", [erase_polyp, retouch_beside])
def test_where_there_is_no_room_nothing_is_done(retouch: Retouch) -> None:
    """No polyp, one that fills the picture, or nothing but darkness beside it."""
    full, dark = np.full((SIZE, SIZE), 255, np.uint8), picture(disc())
    dark[disc() == 0] = 4
    for image, mask in ((picture(full * 0), full * 0), (picture(full), full), (dark, disc())):
        assert retouch(np.random.default_rng(0), image, mask) is None


def test_a_polyp_cut_by_the_pictures_edge_stays() -> None:
    """Beyond it there is no tissue whose colour could be followed."""
    mask = disc(4, 60)
    assert erase_polyp(np.random.default_rng(0), picture(mask), mask) is None


def test_another_pictures_polyp_is_pasted_beside_the_own_one() -> None:
    """The mask holds both, the new one looks like a polyp and is no larger than it was, and the rest is as before."""
    own, other = disc(30, 30, 10), disc(60, 70, 24)
    image, donor = picture(own), picture(other)
    image[..., 1] += 10  # another light: the polyp takes it on
    before, kept = image.copy(), own.copy()
    sizes: list[int] = []
    for seed in range(8):
        pasted = paste_polyp(np.random.default_rng(seed), image, own, donor, other)
        assert pasted is not None
        new = (pasted[1] > 0) & (own == 0)
        sizes.append(int(np.count_nonzero(new)))
        assert (pasted[1][own > 0] == 255).all()
        assert np.abs(pasted[0][new].mean(axis=0) - PALE - (0, 10, 0)).max() < 25
        assert np.array_equal(pasted[0][~near(new.astype(np.uint8))], before[~near(new.astype(np.uint8))])
    assert min(sizes) > 0.005 * SIZE**2
    assert max(sizes) <= 1.05 * np.count_nonzero(other)
    assert len(set(sizes)) > 4
    assert np.array_equal(image, before)
    assert np.array_equal(own, kept)


def test_nothing_is_pasted_from_where_no_whole_polyp_is_or_to_where_no_tissue_is() -> None:
    """A donor without a polyp or with one that the edge cuts; a picture that is dark, or polyp all over."""
    mask, empty = disc(), np.zeros((SIZE, SIZE), np.uint8)
    tissue, dark, full = picture(empty), np.full((SIZE, SIZE, 3), 4, np.uint8), np.full((SIZE, SIZE), 255, np.uint8)
    cases = [(tissue, empty, empty), (tissue, empty, disc(4, 60)), (dark, empty, mask), (picture(full), full, mask)]
    for image, own, donor_mask in cases:
        assert paste_polyp(np.random.default_rng(0), image, own, picture(donor_mask), donor_mask) is None
