"""A file that is there completely or not at all."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tradingbot_process.files import flush

from tradingbot_registry.errors import MaintenanceError

OWNER_ONLY = 0o600


@contextmanager
def new_file(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield an empty file beside `path`, which becomes `path` when the block ends.

    If the block raises, the file is removed and `path` is as before. Raises MaintenanceError; also,
    unless `replace` is given, if `path` exists at the beginning or the end.
    """
    if path.is_dir():
        raise MaintenanceError(f"{path} is a directory; name a file in it")
    if path.exists() and not replace:
        raise MaintenanceError(f"{path} exists; name another file, or give --overwrite")
    with scratch_file(path) as partial, io_errors(path):
        yield partial
        flush(partial)
        if replace:
            partial.replace(path)
        else:
            create_from(partial, path)
        flush(path.parent)


@contextmanager
def scratch_file(path: Path) -> Iterator[Path]:
    """Yield an empty file beside `path`, for its owner alone, which is removed at the end.

    If the process is killed, the next call for `path` removes the file. Raises MaintenanceError,
    also while another process has the file.
    """
    partial = path.with_name(path.name + ".partial")
    with io_errors(path):
        descriptor = _claimed(partial)
    try:
        yield partial
    finally:
        for suffix in ("", "-journal", "-wal", "-shm"):
            partial.with_name(partial.name + suffix).unlink(missing_ok=True)
        os.close(descriptor)


def create_from(partial: Path, path: Path) -> None:
    """Give the file the name `path`. Raises MaintenanceError if there is such a file."""
    try:
        path.hardlink_to(partial)  # Unlike a rename, this never replaces a file.
    except FileExistsError as error:
        raise MaintenanceError(f"{path} was created by another process meanwhile") from error
    partial.unlink()


@contextmanager
def io_errors(path: Path) -> Iterator[None]:
    """Raise MaintenanceError for an error of the operating system."""
    try:
        yield
    except BrokenPipeError:
        raise  # The reader has what it wanted.
    except OSError as error:
        raise MaintenanceError(f"{path}: {_reason(error, path.parent)}") from error


def _reason(error: OSError, directory: Path) -> str:
    if error.errno == errno.ENOENT and not directory.exists():
        return f"directory {directory} does not exist; create it first"
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        return "the disk is full, or the file may not be larger; free some space"
    return os.strerror(error.errno or errno.EIO)


def _claimed(partial: Path) -> int:
    """Return a descriptor of the file, which no other process writes now."""
    while True:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(partial, flags, OWNER_ONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.fchmod(descriptor, OWNER_ONLY)
            os.ftruncate(descriptor, 0)
            if _is_at(descriptor, partial):
                return descriptor
        except BlockingIOError as error:
            os.close(descriptor)
            raise MaintenanceError(f"{partial} is being written by another process") from error
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # The other process has just finished it.


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
