"""Data folders, split lists, and what is wrong with them."""

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from rt_seg.errors import DataError
from rt_seg.train.data import find_pairs, read_image, read_mask, read_pair
from rt_seg.train.split import NEAR_TWINS, split_pairs

FolderWriter = Callable[..., Path]


def write_image(path: Path, image: np.ndarray) -> Path:
    """Write an image file and its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)
    return path


def test_pairs_are_found_in_order(write_folder: FolderWriter, tmp_path: Path) -> None:
    """Folders keep their order, names are sorted within each."""
    first, second = write_folder(tmp_path / "b", 2), write_folder(tmp_path / "a", 1)
    stems = [(pair.image.parent.parent.name, pair.stem) for pair in find_pairs([first, second])]
    assert stems == [("b", "000"), ("b", "001"), ("a", "000")]


@pytest.mark.parametrize(("removed", "missing"), [("masks/001.png", "mask"), ("images/001.jpg", "image")])
def test_lone_file_is_named(removed: str, missing: str, write_folder: FolderWriter, tmp_path: Path) -> None:
    """An image without mask, or a mask without image, is refused by its name."""
    folder = write_folder(tmp_path / "data", 3)
    (folder / removed).unlink()
    with pytest.raises(DataError, match=rf"001\.\w+ has no {missing}"):
        find_pairs([folder])


def test_empty_and_absent_folders_are_refused(tmp_path: Path) -> None:
    """No folder and a folder without images give different lines."""
    with pytest.raises(DataError, match="is not a folder"):
        find_pairs([tmp_path / "absent"])
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    with pytest.raises(DataError, match="holds no image"):
        find_pairs([tmp_path])


def test_two_images_of_one_name_are_refused(write_folder: FolderWriter, tmp_path: Path) -> None:
    """A JPEG and a PNG of the same base name cannot both be meant."""
    folder = write_folder(tmp_path / "data", 2)
    write_image(folder / "images" / "000.png", np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(DataError, match="same base name"):
        find_pairs([folder])


def test_sizes_that_differ_are_refused(write_folder: FolderWriter, tmp_path: Path) -> None:
    """A mask of another size than its image is refused with both sizes."""
    folder = write_folder(tmp_path / "data", 1, size=64)
    write_image(folder / "masks" / "000.png", np.zeros((32, 64), np.uint8))
    with pytest.raises(DataError, match="64x64 but its mask is 64x32"):
        read_pair(find_pairs([folder])[0])


def test_grey_edges_of_jpeg_masks_become_binary(tmp_path: Path) -> None:
    """A mask stored as JPEG, with grey noise at its edge, is cut at one half."""
    mask = np.zeros((64, 64), np.uint8)
    cv2.circle(mask, (32, 32), 17, 255, -1)
    path = write_image(tmp_path / "mask.jpg", mask)
    assert len(np.unique(np.asarray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)))) > 2
    assert np.array_equal(read_mask(path), mask)


def test_masks_of_zero_and_one_are_refused(tmp_path: Path) -> None:
    """A mask that would silently count as empty is refused."""
    with pytest.raises(DataError, match="multiply it by 255"):
        read_mask(write_image(tmp_path / "mask.png", np.eye(8, dtype=np.uint8)))


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_are_refused(suffix: str, tmp_path: Path) -> None:
    """16 bits a channel are named, in images and in masks."""
    path = write_image(tmp_path / f"deep.{suffix}", np.full((8, 8, 3), 40000, np.uint16))
    with pytest.raises(DataError, match="16 bits a channel"):
        read_image(path)
    with pytest.raises(DataError, match="16 bits a channel"):
        read_mask(write_image(tmp_path / f"mask.{suffix}", np.full((8, 8), 40000, np.uint16)))


def test_cmyk_is_refused(tmp_path: Path) -> None:
    """A JPEG whose frame header counts four colours is named as CMYK."""
    path = write_image(tmp_path / "print.jpg", np.zeros((8, 8, 3), np.uint8))
    data = bytearray(path.read_bytes())
    data[data.index(b"\xff\xc0") + 9] = 4
    path.write_bytes(data)
    with pytest.raises(DataError, match="CMYK"):
        read_image(path)


@pytest.mark.parametrize("content", [b"", b"not an image"])
def test_unreadable_image_is_refused(content: bytes, tmp_path: Path) -> None:
    """An empty or foreign file is named."""
    path = tmp_path / "broken.jpg"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"broken\.jpg: cannot be read"):
        read_image(path)


def test_split_restricts_only_the_folders_it_names(write_folder: FolderWriter, tmp_path: Path) -> None:
    """A list of some images of one folder leaves another folder whole, and validation comes from the list."""
    listed, whole = write_folder(tmp_path / "listed", 6), write_folder(tmp_path / "whole", 5)
    split = tmp_path / "split.txt"
    split.write_text("listed/001\nlisted/002\nlisted/003\nlisted/004\n")
    training, validation = split_pairs([listed, whole], split=split, validation="0.25", exclude=[], seed=0)
    assert len(validation) == 1
    assert validation[0].name.startswith(f"{tmp_path.name}/listed/")
    assert sorted(pair.image.parent.parent.name for pair in training) == ["listed"] * 3 + ["whole"] * 5


def test_excluded_images_are_on_neither_side(write_folder: FolderWriter, tmp_path: Path) -> None:
    """A name on an exclusion list is neither trained nor validated on."""
    folder = write_folder(tmp_path / "data", 8)
    exclude = tmp_path / "exclude.txt"
    exclude.write_text("003\ndata/005\n")
    training, validation = split_pairs([folder], split=None, validation="0.5", exclude=[exclude], seed=1)
    assert sorted(pair.stem for pair in training + validation) == ["000", "001", "002", "004", "006", "007"]


def test_near_twins_stay_together(write_folder: FolderWriter, tmp_path: Path) -> None:
    """Whatever the seed, no share parts two images of the same moment."""
    folder = write_folder(tmp_path / "data", 8)
    for number, name in enumerate([name for twins in NEAR_TWINS for name in twins]):
        (folder / "images" / f"{number:03d}.jpg").rename(folder / "images" / f"{name}.jpg")
        (folder / "masks" / f"{number:03d}.png").rename(folder / "masks" / f"{name}.png")
    for seed in range(10):
        _training, validation = split_pairs([folder], split=None, validation="0.5", exclude=[], seed=seed)
        stems = {pair.stem for pair in validation}
        assert all(len(stems & set(twins)) in (0, 2) for twins in NEAR_TWINS)


def test_list_that_names_absent_images_is_refused(write_folder: FolderWriter, tmp_path: Path) -> None:
    """A split for other data is refused with one of the names."""
    split = tmp_path / "split.txt"
    split.write_text("000\nnowhere\n")
    with pytest.raises(DataError, match="such as nowhere"):
        split_pairs([write_folder(tmp_path / "data", 2)], split=split, validation="0.5", exclude=[], seed=0)


def test_validation_list_beside_the_split_is_taken(write_folder: FolderWriter, tmp_path: Path) -> None:
    """Three lists, of training, validation and test images, are used as they are published."""
    folder = write_folder(tmp_path / "data", 6)
    split, held_out, test = (tmp_path / f"{name}.txt" for name in ("train", "validation", "test"))
    split.write_text("000\n001\n002\n")
    held_out.write_text("002\n003\n")
    test.write_text("004\n005\n")
    training, validation = split_pairs([folder], split=split, validation=str(held_out), exclude=[], seed=0, test=test)
    assert [pair.stem for pair in training] == ["000", "001"]  # one of the split is validated on, so not trained on
    assert [pair.stem for pair in validation] == ["002", "003"]


@pytest.mark.parametrize("tested", ["001", "003"], ids=["trained", "validated"])
def test_test_that_overlaps_is_refused(tested: str, write_folder: FolderWriter, tmp_path: Path) -> None:
    """An image of the test in training or validation is named before anything is trained."""
    folder = write_folder(tmp_path / "data", 6)
    held_out, test = tmp_path / "validation.txt", tmp_path / "test.txt"
    held_out.write_text("003\n")
    test.write_text(f"{tested}\n")
    with pytest.raises(DataError, match=f"trained or validated on, such as .*{tested}"):
        split_pairs([folder], split=None, validation=str(held_out), exclude=[], seed=0, test=test)
    _training, validation = split_pairs(
        [folder], split=None, validation="0.3", exclude=[test], seed=0, test=test
    )  # the way out that the message names
    assert len(validation) == 2


def test_copy_of_a_test_image_is_refused(write_folder: FolderWriter, tmp_path: Path) -> None:
    """The same picture in another folder under another name is the same picture."""
    folder, other = write_folder(tmp_path / "data", 3), write_folder(tmp_path / "more", 5)
    shutil.copy(other / "images" / "004.jpg", folder / "images" / "000.jpg")
    split, test = tmp_path / "train.txt", tmp_path / "test.txt"
    split.write_text("data/000\ndata/001\ndata/002\nmore/000\n")
    test.write_text("more/004\n")
    with pytest.raises(DataError, match=r"000\.jpg, the same as .*004\.jpg"):
        split_pairs([folder, other], split=split, validation="0.3", exclude=[], seed=0, test=test)


def test_validation_on_excluded_images_is_refused(write_folder: FolderWriter, tmp_path: Path) -> None:
    """A list that names what another list excludes is a mistake in one of them."""
    folder = write_folder(tmp_path / "data", 4)
    listed = tmp_path / "list.txt"
    listed.write_text("001\n")
    with pytest.raises(DataError, match=r"excluded, such as .*001"):
        split_pairs([folder], split=None, validation=str(listed), exclude=[listed], seed=0)


@pytest.mark.parametrize("validation", ["0", "1", "1.5", "nan", "nowhere.txt"])
def test_impossible_validation_is_refused(validation: str, write_folder: FolderWriter, tmp_path: Path) -> None:
    """A share that leaves a side empty, and a list that is not there, are refused by what was written."""
    folder = write_folder(tmp_path / "data", 4)
    with pytest.raises(DataError, match=validation):
        split_pairs([folder], split=None, validation=validation, exclude=[], seed=0)


def test_name_in_two_folders_is_refused(write_folder: FolderWriter, tmp_path: Path) -> None:
    """A base name that two folders have must be written with its folder."""
    folders = [write_folder(tmp_path / name, 2) for name in ("a", "b")]
    split = tmp_path / "split.txt"
    split.write_text("000\n")
    with pytest.raises(DataError, match="several data folders"):
        split_pairs(folders, split=split, validation="0.5", exclude=[], seed=0)
