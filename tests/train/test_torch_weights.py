"""The restricted reader of PyTorch checkpoints."""

import io
import pickle
import struct
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rt_seg.errors import ModelError
from rt_seg.train.torch_weights import read_torch_weights


class _Global:
    """Pickles as a name of another module, called with arguments: what a checkpoint does, and an attack too."""

    def __init__(self, module: str, name: str, *arguments: Any) -> None:
        self.module, self.name, self.arguments = module, name, arguments


class _Storage:
    def __init__(self, key: str, size: int) -> None:
        self.key, self.size = key, size


_PythonPickler: Any = vars(pickle)["_Pickler"]  # the one written in Python can be extended


class _Pickler(_PythonPickler):  # type: ignore[misc]  # its base is Any
    """Writes names of modules that are not here, as PyTorch's own pickler does."""

    def persistent_id(self, obj: Any) -> Any:
        if isinstance(obj, _Storage):
            return ("storage", _Global("torch", "FloatStorage"), obj.key, "cpu", obj.size, None)
        return None

    def save(self, obj: Any, save_persistent_id: bool = True) -> None:
        if not isinstance(obj, _Global):
            super().save(obj, save_persistent_id)
            return
        self.write(f"c{obj.module}\n{obj.name}\n".encode())
        if obj.arguments:
            super().save(obj.arguments)
            self.write(pickle.REDUCE)


def _dump(value: Any) -> bytes:
    buffer = io.BytesIO()
    _Pickler(buffer, protocol=2).dump(value)
    return buffer.getvalue()


def _checkpoint(tensors: Any, numbers: np.ndarray) -> bytes:
    head = b"".join(_dump(part) for part in (0x1950A86A20F9469CFC6C, 1001, None, tensors, ["a"]))
    return head + struct.pack("<q", numbers.size) + numbers.astype("<f4").tobytes()


def _tensor(size: int, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> _Global:
    return _Global("torch._utils", "_rebuild_tensor_v2", _Storage("a", size), offset, shape, strides, False, None)


def test_transposed_tensor_is_read_by_its_strides(tmp_path: Path) -> None:
    """A tensor that is stored transposed, with an offset, comes out as its author saw it."""
    path = tmp_path / "weights.pth"
    path.write_bytes(_checkpoint(OrderedDict(w=_tensor(7, 1, (2, 3), (1, 2))), np.arange(7)))
    assert read_torch_weights(path)["w"].tolist() == [[1, 3, 5], [2, 4, 6]]


@pytest.mark.parametrize(("module", "name"), [("os", "system"), ("builtins", "eval"), ("torch", "load")])
def test_foreign_name_is_refused_and_never_called(module: str, name: str, tmp_path: Path) -> None:
    """A pickle that asks for anything but tensors is refused before that is even looked up."""
    mark = tmp_path / "ran"
    path = tmp_path / "evil.pth"
    path.write_bytes(_checkpoint(OrderedDict(w=_Global(module, name, f"touch {mark}")), np.arange(4)))
    with pytest.raises(ModelError, match=rf"{module}\.{name}"):
        read_torch_weights(path)
    assert not mark.exists()


@pytest.mark.parametrize(("shape", "strides"), [((3, 3), (3, 1)), ((2,), (-1,)), ((0,), (1,))])
def test_tensor_outside_its_storage_is_refused(
    shape: tuple[int, ...], strides: tuple[int, ...], tmp_path: Path
) -> None:
    """Shape and strides that would read other memory are refused."""
    path = tmp_path / "outside.pth"
    path.write_bytes(_checkpoint(OrderedDict(w=_tensor(4, 0, shape, strides)), np.arange(4)))
    with pytest.raises(ModelError, match="outside its storage"):
        read_torch_weights(path)


@pytest.mark.parametrize("content", [b"", b"no pickle", pickle.dumps([1, 2])])
def test_other_file_is_refused(content: bytes, tmp_path: Path) -> None:
    """A file of another kind gives one line, not a traceback."""
    path = tmp_path / "other.pth"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="cannot be read as PyTorch weights"):
        read_torch_weights(path)


def test_truncated_file_is_refused(tmp_path: Path) -> None:
    """A file that breaks off in the middle of its numbers is refused."""
    path = tmp_path / "short.pth"
    path.write_bytes(_checkpoint(OrderedDict(w=_tensor(4, 0, (4,), (1,))), np.arange(4))[:-3])
    with pytest.raises(ModelError, match="ends in the middle"):
        read_torch_weights(path)
