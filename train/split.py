"""Which images train and which validate."""

import hashlib
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
    folders: Sequence[Path],
    *,
    split: Path | None,
    validation: str,
    exclude: Sequence[Path],
    seed: int,
    test: Path | None = None,
) -> tuple[list[Pair], list[Pair]]:
    """Choose training and validation pairs.

    Args:
        folders: Data folders.
        split: List of the images to use: a folder of which it names any is restricted to those, others are used whole.
        validation: File with a list, of images in the split or beside it; or a share such as ``0.1`` of the split's
            images (of all without a split).
        exclude: Lists of images that are never used.
        seed: Decides which images a share takes.
        test: List of images that must be in neither part.

    Returns:
        Training pairs and validation pairs, without overlap.

    Raises:
        DataError: Unusable folders or lists, a list naming absent images, nothing left on one side, an image to
            validate on that is excluded, or an image of the test in either part.
    """
    pairs = find_pairs(folders)
    excluded = {pair for path in exclude for pair in select(pairs, read_list(path), path)}
    pool = _restrict(pairs, split) if split else (pairs, pairs)
    usable = [pair for pair in pool[0] if pair not in excluded]
    share = _share(validation)
    if share is None:
        held_out = _listed(pairs, Path(validation), excluded)
    else:
        held_out = _drawn([pair for pair in pool[1] if pair not in excluded], share, seed)
    training = [pair for pair in usable if pair not in held_out]
    if not training or not held_out:
        raise DataError(
            f"{len(training)} images are left to train on and {len(held_out)} to validate on; change the split"
        )
    chosen = sorted(held_out, key=lambda pair: pair.name)
    if test is not None:
        refuse_overlap([*training, *chosen], select(pairs, read_list(test), test))
    return training, chosen


def refuse_overlap(seen: Sequence[Pair], held_out: Sequence[Pair], purpose: str = "test on", by: str = "") -> None:
    """Refuse to judge by images that were trained or validated on; copies in other folders count as well.

    Args:
        seen: Images that were trained or validated on.
        held_out: Images to judge by.
        purpose: What they are for, as the message says it.
        by: Which run has seen them, if it is another one.

    Raises:
        DataError: There is such an image, or one cannot be read.
    """
    by_content = {_content(pair): pair for pair in seen}
    both = [(by_content[content], pair) for pair in held_out if (content := _content(pair)) in by_content]
    if both:
        mine, other = both[0]
        where = (
            mine.name if mine.image.resolve() == other.image.resolve() else f"{mine.image}, the same as {other.image}"
        )
        raise DataError(
            f"{len(both)} images to {purpose} are trained or validated on{by and f' by {by}'}, such as {where}; "
            f"{purpose} others, or keep them out of training with --exclude"
        )


def _content(pair: Pair) -> bytes:
    try:
        return hashlib.sha256(pair.image.read_bytes()).digest()
    except OSError as exc:
        raise DataError(f"{pair.image}: cannot be read ({exc.strerror})") from exc


def _restrict(pairs: Sequence[Pair], split: Path) -> tuple[list[Pair], list[Pair]]:
    """Pairs to use, and those of them that the split names."""
    named = select(pairs, read_list(split), split)
    folders = {pair.image.parent for pair in named}
    return named + [pair for pair in pairs if pair.image.parent not in folders], named


def _share(validation: str) -> float | None:
    """The share that was asked for, None for a file.

    Raises:
        DataError: A number that is no share.
    """
    try:
        share = float(validation)
    except ValueError:
        return None
    if not 0 < share < 1:
        raise DataError(
            f"a validation share of {validation} leaves one side empty; take one between 0 and 1, such as 0.1"
        )
    return share


def _listed(pairs: Sequence[Pair], path: Path, excluded: set[Pair]) -> set[Pair]:
    chosen = select(pairs, read_list(path), path)
    both = [pair for pair in chosen if pair in excluded]
    if both:
        raise DataError(f"{path}: names {len(both)} images that are excluded, such as {both[0].name}; decide on one")
    return set(chosen)


def _drawn(candidates: Sequence[Pair], share: float, seed: int) -> set[Pair]:
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
