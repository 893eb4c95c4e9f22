"""Writing files so that nobody ever sees half of them."""

import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from rt_seg.errors import OutputError


def write_together(files: Mapping[Path, bytes]) -> None:
    """Write files that belong together: all of them, or none.

    Each is written through a temporary neighbour, which no way out leaves behind; earlier files are as they were until
    all is on the disk.

    Args:
        files: What each is to hold; folders are made.

    Raises:
        OutputError: One cannot be written.
    """
    temporaries = {path: path.with_name(f".{path.name}.{secrets.token_hex(4)}") for path in files}
    done: list[Path] = []
    try:
        for path, data in files.items():
            _write_new(temporaries[path], data, path)
        for path, temporary in temporaries.items():
            done.append(path)
            _replace(temporary, path)
    except BaseException:
        for path in (*temporaries.values(), *done):
            with suppress(OSError):
                path.unlink()
        raise


def check_writable(path: Path) -> None:
    """Refuse a file that cannot be written before the work that fills it begins.

    Raises:
        OutputError: It is a directory, or its folder cannot be made or written to.
    """
    if path.is_dir():
        raise OutputError(f"{path}: is a directory; give the name of a file")
    probe = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    _write_new(probe, b"", path)
    probe.unlink()


def _write_new(path: Path, data: bytes, wanted: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as exc:
        raise _refusal(wanted, exc) from exc


def _replace(temporary: Path, path: Path) -> None:
    try:
        temporary.replace(path)
    except OSError as exc:
        raise _refusal(path, exc) from exc


def _refusal(path: Path, error: OSError) -> OutputError:
    return OutputError(f"{path}: cannot be written ({error.strerror}); check the path and the free space")
