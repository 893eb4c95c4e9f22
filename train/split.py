"""Which images train and which validate."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rt_seg.errors import DataError

from .data import Pair, find_pairs, read_list, select

NEAR_TWINS = (
    ("cju30bmab08bi0835mvlr6e0r", "cju77k828z46w0871r0avuoo9"),
    ("cju76lsehyia10987u54vn8rb", "cju772304yw5t0818vbw8kkjf"),
    ("cju886ryxnsl50801r93jai7q", "cju8amfdtqi4x09871tygrgqe"),
)
"""Images of Kvasir-SEG that show the same moment: no split may part them."""


def split_pairs(
    folders: Sequence[Path], *, split: Path | None, validation: str, exclude: Sequence[Path], seed: int
) -> tuple[list[Pair], list[Pair]]:
    """Choose training and validation pairs.

    Args:
        folders: Data folders.
        split: List of the images to use: a folder of which it names any is restricted to those, others are used whole.
        validation: File with a list, or a share such as ``0.1`` of the split's images (of all without a split).
        exclude: Lists of images that are never used.
        seed: Decides which images a share takes.

    Returns:
        Training pairs and validation pairs, without overlap.

    Raises:
        DataError: Unusable folders or lists, a list naming absent images, or nothing left on one side.
    """
    pairs = find_pairs(folders)
    excluded = {pair for path in exclude for pair in select(pairs, read_list(path), path)}
    pool = _restrict(pairs, split) if split else (pairs, pairs)
    usable = [pair for pair in pool[0] if pair not in excluded]
    candidates = [pair for pair in pool[1] if pair not in excluded]
    held_out = _validation_pairs(candidates, validation, seed)
    training = [pair for pair in usable if pair not in held_out]
    if not training or not held_out:
        raise DataError(
            f"{len(training)} images are left to train on and {len(held_out)} to validate on; change the split"
        )
    return training, sorted(held_out, key=lambda pair: pair.name)


def _restrict(pairs: Sequence[Pair], split: Path) -> tuple[list[Pair], list[Pair]]:
    """Pairs to use, and those of them that the split names."""
    named = select(pairs, read_list(split), split)
    folders = {pair.image.parent for pair in named}
    return named + [pair for pair in pairs if pair.image.parent not in folders], named


def _validation_pairs(candidates: Sequence[Pair], validation: str, seed: int) -> set[Pair]:
    try:
        share = float(validation)
    except ValueError:
        return set(select(candidates, read_list(Path(validation)), Path(validation)))
    if not 0 < share < 1:
        raise DataError(
            f"a validation share of {validation} leaves one side empty; take one between 0 and 1, such as 0.1"
        )
    groups = _groups(candidates)
    chosen: list[Pair] = []
    order: list[int] = np.random.default_rng(seed).permutation(len(groups)).tolist()
    for number in order:
        if len(chosen) >= share * len(candidates):
            break
        chosen += groups[number]
    return set(chosen)


def _groups(pairs: Sequence[Pair]) -> list[list[Pair]]:
    """Pairs one by one, near-twins together."""
    twin_of: dict[str, str] = {name: twins[0] for twins in NEAR_TWINS for name in twins}
    groups: dict[str, list[Pair]] = {}
    for pair in pairs:
        groups.setdefault(twin_of.get(pair.stem, pair.name), []).append(pair)
    return list(groups.values())
