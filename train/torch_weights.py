"""Read tensors from a legacy PyTorch checkpoint without PyTorch, and without running anything that the file says.

The format (torch.save before version 1.6): five pickles in a row (magic number, protocol version, platform, the object,
the storage keys), then for each key an int64 with the number of elements and the raw little-endian numbers.
"""

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from rt_seg.errors import ModelError

_MAGIC = 0x1950A86A20F9469CFC6C
_STORAGE_TYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


class _Storage(NamedTuple):
    """Placeholder for raw numbers that follow later in the file."""

    key: str
    dtype: np.dtype[Any]
    size: int


class _Tensor(NamedTuple):
    """A view of a storage: offset, shape and strides count elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _rebuild_tensor(
    storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_unused: object
) -> _Tensor:
    """Stand-in for ``torch._utils._rebuild_tensor_v2``."""
    return _Tensor(storage, offset, shape, strides)


class _TensorUnpickler(pickle.Unpickler):
    """An Unpickler that knows the names that rebuild tensors and refuses every other one."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch" and name in _STORAGE_TYPES:
            return _STORAGE_TYPES[name]
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which rebuilds no tensor")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _device, size, *_view = pid
        if kind != "storage" or not isinstance(dtype, np.dtype):
            raise pickle.UnpicklingError("it refers to something that is not a storage")
        return _Storage(str(key), dtype, int(size))


def read_torch_weights(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Read all tensors of a legacy checkpoint.

    Args:
        path: A ``.pth`` file that holds one dictionary of tensors.

    Returns:
        The tensors by name, contiguous: many of them are stored transposed, so their strides are honoured.

    Raises:
        ModelError: Unreadable, of another format, or it names anything but what rebuilds tensors.
    """
    try:
        with path.open("rb") as file:
            return _read(file)
    except (OSError, pickle.UnpicklingError, ValueError, TypeError, KeyError, EOFError, IndexError) as exc:
        raise ModelError(f"{path}: cannot be read as PyTorch weights ({exc}); install its package again") from exc


def _read(file: BinaryIO) -> dict[str, npt.NDArray[Any]]:
    magic, _protocol, _platform, found, keys = (_TensorUnpickler(file).load() for _ in range(5))
    if magic != _MAGIC or not isinstance(found, OrderedDict):
        raise ValueError("it is not a legacy checkpoint")
    tensors = cast("OrderedDict[str, _Tensor]", found)
    dtypes = {tensor.storage.key: tensor.storage.dtype for tensor in tensors.values()}
    storages = {key: _read_storage(file, dtypes[key]) for key in keys}
    return {name: _view(tensor, storages[tensor.storage.key]) for name, tensor in tensors.items()}


def _read_storage(file: BinaryIO, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    size = int.from_bytes(file.read(8), "little")
    data = file.read(size * dtype.itemsize)
    if len(data) != size * dtype.itemsize:
        raise EOFError("it ends in the middle of a tensor")
    return np.frombuffer(data, dtype)


def _view(tensor: _Tensor, storage: npt.NDArray[Any]) -> npt.NDArray[Any]:
    last = tensor.offset + sum((n - 1) * step for n, step in zip(tensor.shape, tensor.strides, strict=True))
    if min(tensor.shape, default=1) < 1 or min(tensor.strides, default=0) < 0 or not 0 <= last < storage.size:
        raise ValueError("a tensor reaches outside its storage")
    strides = [step * storage.itemsize for step in tensor.strides]
    view = np.lib.stride_tricks.as_strided(storage[tensor.offset :], tensor.shape, strides, writeable=False)
    return np.ascontiguousarray(view).reshape(tensor.shape)
