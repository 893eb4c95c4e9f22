"""Which images are evaluated, and what they are called."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rt_seg.benchmarks.evaluate_data import find_centres
from rt_seg.errors import DataError

DataWriter = Callable[..., Path]
BLANK = (np.zeros((8, 8), np.uint8), np.zeros((8, 8), np.uint8))


def names(folders: list[Path], **options: object) -> dict[str, list[str]]:
    """Names of the images, by centre."""
    centres = find_centres(folders, **options)  # type: ignore[arg-type]  # each test names options of its own
    return {centre.name: [pair.stem for pair in centre.pairs] for centre in centres}


def test_each_folder_is_a_centre(write_data: DataWriter, tmp_path: Path) -> None:
    """Centres are named by their folders, as far up as it takes to tell them apart."""
    first, second = write_data(tmp_path / "a" / "C1", x=BLANK), write_data(tmp_path / "b" / "C2", y=BLANK)
    assert names([first, second]) == {"C1": ["x"], "C2": ["y"]}
    third = write_data(tmp_path / "b" / "C1", z=BLANK)
    assert list(names([first, third])) == ["a/C1", "b/C1"]


def test_a_folder_given_twice_is_refused(write_data: DataWriter, tmp_path: Path) -> None:
    """Its images would count double."""
    folder = write_data(tmp_path / "C1", x=BLANK)
    with pytest.raises(DataError, match="given twice"):
        find_centres([folder, folder / ".." / "C1"])


def test_lists_choose_and_limit_cuts(write_data: DataWriter, tmp_path: Path) -> None:
    """The split names what is used, the excluded never is, and the limit counts by folder."""
    folder = write_data(tmp_path / "C1", a=BLANK, b=BLANK, c=BLANK, d=BLANK)
    split, exclude = tmp_path / "split.txt", tmp_path / "exclude.txt"
    split.write_text("d\nb\na\n")
    exclude.write_text("C1/a\n")
    assert names([folder], split=split) == {"C1": ["a", "b", "d"]}
    assert names([folder], split=split, exclude=[exclude]) == {"C1": ["b", "d"]}
    assert names([folder], split=split, exclude=[exclude], limit=1) == {"C1": ["b"]}


def test_a_split_that_names_absent_images_is_refused(write_data: DataWriter, tmp_path: Path) -> None:
    """A figure over a part of the split would pass for one over all of it."""
    folder = write_data(tmp_path / "C1", a=BLANK)
    split = tmp_path / "split.txt"
    split.write_text("a\nnot_there\n")
    with pytest.raises(DataError, match=r"split\.txt.*not_there"):
        find_centres([folder], split=split)


def test_a_folder_without_images_left_is_refused(write_data: DataWriter, tmp_path: Path) -> None:
    """A centre of nothing has no figures."""
    first, second = write_data(tmp_path / "C1", a=BLANK), write_data(tmp_path / "C2", b=BLANK)
    split = tmp_path / "split.txt"
    split.write_text("a\n")
    with pytest.raises(DataError, match="C2: the lists leave none"):
        find_centres([first, second], split=split)
