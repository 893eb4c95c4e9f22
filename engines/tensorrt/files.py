"""Writing a file so that nobody ever sees half of it."""

import os
import secrets
from contextlib import suppress
from pathlib import Path

from rt_seg.errors import OutputError


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file through a temporary neighbour, which no way out leaves behind.

    Args:
        path: The file; its folder is made. An earlier one is as it was until all is written.
        data: All that it is to hold.

    Raises:
        OutputError: It cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            _write_new(temporary, data)
            temporary.replace(path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
    except OSError as exc:
        raise OutputError(f"{path}: cannot be written ({exc.strerror}); check the path and the free space") from exc


def _write_new(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
