"""Writing files so that nobody ever sees half of them."""

import os
import secrets
from collections.abc import Iterable, Mapping
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
    temporaries = {path: _neighbour(path) for path in files}
    earlier = {path: _neighbour(path) for path in files}
    replaced: list[Path] = []
    try:
        for path, data in files.items():
            _write_new(temporaries[path], data, path)
        for path, temporary in temporaries.items():
            replaced.append(path)
            _replace(temporary, path, earlier[path])
    except BaseException:
        for path in replaced:
            _restore(path, earlier[path], temporaries[path])
        # a second name of a file that is still in place remains: renaming one to the other does nothing
        _remove((*temporaries.values(), *earlier.values()))
        raise
    _remove(earlier.values())


def check_writable(path: Path) -> None:
    """Refuse a file that cannot be written before the work that fills it begins.

    Raises:
        OutputError: It is a directory, or its folder cannot be made or written to.
    """
    if path.is_dir():
        raise OutputError(f"{path}: is a directory; give the name of a file")
    probe = _neighbour(path)
    _write_new(probe, b"", path)
    probe.unlink()


def _neighbour(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}")


def _write_new(path: Path, data: bytes, wanted: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as exc:
        raise _refusal(wanted, exc) from exc


def _replace(temporary: Path, path: Path, earlier: Path) -> None:
    """Put the new file in place; the one that was there gets a second name."""
    try:
        with suppress(FileNotFoundError):
            _keep(path, earlier)
        temporary.replace(path)
    except OSError as exc:
        raise _refusal(path, exc) from exc


def _keep(path: Path, earlier: Path) -> None:
    try:
        earlier.hardlink_to(path)  # the file stays in place, too
    except FileNotFoundError:
        raise
    except OSError:  # a disk without hard links
        path.replace(earlier)


def _restore(path: Path, earlier: Path, temporary: Path) -> None:
    """Undo `_replace`, however far it came."""
    with suppress(OSError):
        if earlier.exists():
            earlier.replace(path)
        elif not temporary.exists():  # it went into place, where there was nothing
            path.unlink()


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        with suppress(OSError):
            path.unlink()


def _refusal(path: Path, error: OSError) -> OutputError:
    return OutputError(f"{path}: cannot be written ({error.strerror}); check the path and the free space")
