"""What every sink checks before it starts, and `OutputFile`, whose writes are whole or fail with one line."""

import errno
import io
import os
from pathlib import Path

from rt_seg.errors import OutputError


class TruncatedError(OutputError):
    """A file could not be written to its end, and the end of what was there had to be cut off.

    Attributes:
        pictures: So many that were taken before are not in it.
    """

    def __init__(self, message: str, pictures: int) -> None:
        super().__init__(message)
        self.pictures = pictures


def check_output_file(path: Path, suffix: str, source: Path | None = None) -> None:
    """Refuse a file that could not be written, or should not be, before any work is done.

    Args:
        path: The file; it need not exist.
        suffix: The only ending that is allowed, such as ``.mp4``.
        source: The input file, if there is one: it must not be the same file, by whatever name.

    Raises:
        OutputError: With what to do instead.
    """
    if path.suffix.lower() != suffix:
        raise OutputError(f"{path}: this is written as {suffix} only; give a name that ends in {suffix}")
    if path.is_dir():
        raise OutputError(f"{path}: is a folder; give the name of a file in it")
    if path.exists() and not path.is_file():
        raise OutputError(f"{path}: is not a regular file; give another name")
    if source is not None and _same(path, source):
        raise OutputError(f"{path}: is the input itself; give another name, so that the source is kept")
    _check_writable(path)


def check_output_folder(path: Path, source: Path | None = None) -> None:
    """Refuse a folder that could not be written to or is the source; it need not exist, its parent must.

    Raises:
        OutputError: With what to do instead.
    """
    if path.exists() and not path.is_dir():
        raise OutputError(f"{path}: is a file; give the name of a folder")
    if source is not None and _same(path, source):
        raise OutputError(f"{path}: is the input folder; give another one, so that its images are kept")
    _check_writable(path)


def check_distinct(*paths: Path | None) -> None:
    """Refuse one path for two outputs: each would replace the other.

    Raises:
        OutputError: With what to do instead.
    """
    outputs = [path.resolve() for path in paths if path is not None]
    for path in outputs:
        if outputs.count(path) > 1:
            raise OutputError(f"{path}: is given for two outputs; give each a name of its own")


def _same(path: Path, other: Path) -> bool:
    """Whether both are one file, also through links."""
    return path.exists() and other.exists() and path.samefile(other)


def _check_writable(path: Path) -> None:
    """Refuse a path that lies in a missing folder or that this user may not write."""
    target = path.resolve()  # a link to a file that is yet to be made counts where it points to
    folder = target.parent
    if not folder.is_dir():
        raise OutputError(f"{path}: the folder {folder} does not exist; create it first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{path}: no permission to write in {folder}; choose another folder")
    if target.exists() and not os.access(target, os.W_OK):
        raise OutputError(f"{path}: no permission to write it; choose another name")


def output_error(path: Path, exc: OSError) -> OutputError:
    """Say in one line why a write failed."""
    if exc.errno in {errno.ENOSPC, errno.EDQUOT}:
        return OutputError(f"{path}: the disk is full; free some space or choose another folder")
    if exc.errno == errno.EFBIG:
        return OutputError(f"{path}: it reached the largest size allowed for a file; raise `ulimit -f`")
    return OutputError(f"{path}: cannot be written ({exc.strerror or exc}); choose another folder")


class OutputFile:
    """A file for writing that comes into being with its first byte, replacing an older one. Not thread-safe.

    Unbuffered: what was written survives the end of the process. PyAV writes through it too; once it is closed,
    PyAV leaves the file as it is instead of finalising it.

    Args:
        path: Where.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._raw: io.FileIO | None = None
        self.closed = False

    @property
    def created(self) -> bool:
        """Whether anything was written."""
        return self._raw is not None

    def write(self, data: bytes) -> int:
        """Write all of it.

        Raises:
            OutputError: It could not be written whole.
        """
        try:
            if self._raw is None:
                self._raw = io.FileIO(self._path, "wb")
            rest = memoryview(data)
            while rest:  # a nearly full disk takes a part and says so only by the count
                rest = rest[self._raw.write(rest) :]
        except OSError as exc:
            raise output_error(self._path, exc) from exc
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to an offset in bytes; 0 before the first byte is written."""
        return 0 if self._raw is None else self._raw.seek(offset, whence)

    def tell(self) -> int:
        """Offset in bytes."""
        return 0 if self._raw is None else self._raw.tell()

    def cut(self, size: int) -> None:
        """Drop what lies behind the first `size` bytes and close: the way to end after a failed write."""
        if self._raw is not None and not self.closed:
            os.ftruncate(self._raw.fileno(), size)
        self.close()

    def remove(self) -> None:
        """Close, and delete the file if it was created here."""
        self.close()
        if self.created:
            self._path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close; a second call does nothing.

        Raises:
            OutputError: The file system reports a late failure.
        """
        if self.closed:
            return
        self.closed = True
        try:
            if self._raw is not None:
                self._raw.close()
        except OSError as exc:
            raise output_error(self._path, exc) from exc
