"""What a model has seen: the images of its run, and of the runs that its weights come from."""

from collections.abc import Sequence
from pathlib import Path

from .config import CONFIG, TrainingConfig
from .data import Pair, find_pairs, read_list, select

TRAINED, VALIDATED = "train.txt", "validation.txt"


def lineage(start: Path) -> tuple[list[Path], Path | None]:
    """A run, the one whose weights it started with, and so on.

    Args:
        start: Folder of a run, or a ``.keras`` file; such a file counts as the run in whose folder it lies.

    Returns:
        Folders of runs, and the first start that is none any more, or never was: what it was trained on is not known.

    Raises:
        DataError: The settings of a run cannot be read.
    """
    runs: list[Path] = []
    following: Path | None = start
    while following is not None:
        folder = following.parent if following.suffix == ".keras" else following
        if not (folder / CONFIG).is_file():
            return runs, following
        runs.append(folder)
        before = TrainingConfig.load(folder / CONFIG).start_from
        following = None if before is None else Path(before)
    return runs, None


def images_of(runs: Sequence[Path], listed: str) -> dict[Path, Pair]:
    """What some runs trained or validated on, each image once, by its path.

    Args:
        runs: Folders of runs, whose data is still where it was.
        listed: `TRAINED` or `VALIDATED`.

    Raises:
        DataError: The folder is not that of a run, or its data is gone.
    """
    pairs: dict[Path, Pair] = {}
    for run in runs:
        folders = [Path(folder) for folder in TrainingConfig.load(run / CONFIG).data]
        named = select(find_pairs(folders), read_list(run / listed), run / listed)
        pairs |= {pair.image.resolve(): pair for pair in named}
    return pairs
