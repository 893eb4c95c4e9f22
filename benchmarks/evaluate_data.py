"""Which images are evaluated, and which centre each belongs to: one data folder is one centre."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rt_seg.errors import DataError
from rt_seg.train.data import Pair, find_pairs, read_list, select


@dataclass(frozen=True, slots=True)
class Centre:
    """The images of one data folder.

    Attributes:
        name: The end of the folder's path, as long as needed to tell it from the others.
        folder: The data folder.
        pairs: Images and masks, at least one, by name.
    """

    name: str
    folder: Path
    pairs: tuple[Pair, ...]


def find_centres(
    folders: Sequence[Path], *, split: Path | None = None, exclude: Sequence[Path] = (), limit: int | None = None
) -> list[Centre]:
    """Collect what is to be evaluated.

    Args:
        folders: Data folders, each with ``images/`` and ``masks/`` holding the same base names.
        split: List of images: only these.
        exclude: Lists of images: never these.
        limit: Images of each folder at most, the first by name.

    Returns:
        A centre for each folder, in their order.

    Raises:
        DataError: A folder or list is unusable, a folder is given twice, or one has no image left.
    """
    names = _names(folders)
    pairs = {folder: find_pairs([folder]) for folder in folders}
    everything = [pair for each in pairs.values() for pair in each]
    wanted = set(everything if split is None else select(everything, read_list(split), split))
    for path in exclude:
        wanted -= set(select(everything, read_list(path), path))
    centres: list[Centre] = []
    for folder, name in zip(folders, names, strict=True):
        chosen = tuple(pair for pair in pairs[folder] if pair in wanted)[:limit]
        if not chosen:
            raise DataError(f"{folder}: the lists leave none of its {len(pairs[folder])} images; leave the folder out")
        centres.append(Centre(name, folder, chosen))
    return centres


def _names(folders: Sequence[Path]) -> list[str]:
    parts = [folder.resolve().parts for folder in folders]
    twice = next((folder for folder, path in zip(folders, parts, strict=True) if parts.count(path) > 1), None)
    if twice is not None:
        raise DataError(f"{twice}: is given twice; each folder counts once")
    for length in range(1, max(map(len, parts), default=1)):
        names = ["/".join(path[-length:]) for path in parts]
        if len(set(names)) == len(names):
            return names
    return ["/".join(path) for path in parts]
