"""Certificates kept in a directory, laid out as the kubelet lays out a mounted Secret.

    tls.crt -> ..data/tls.crt        what a server is told to read; these links never change
    ..data  -> ..2026_11_24_10_00    replaced by one rename(2): both files of a pair change at once
    ..2026_11_24_10_00/tls.crt       written and flushed before anything points at it

So a reader that opens `tls.crt` and `tls.key` around a change may get one of each (and must check
that they match, as the webhook server does), but never half a file, and a crash at any point leaves
either the old pair or the new one.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tradingbot_process.files import flush

from tradingbot_certs.errors import StorageError
from tradingbot_certs.state import Stored

_DATA = "..data"
_AUTHORITIES = ("ca.crt", "ca.key", "next.key", "since")
_FILES = (*_AUTHORITIES, "tls.crt", "tls.key")
_PUBLIC = 0o644
_SECRET = 0o600
_MAX_FILE = 1 << 20


class DirectoryStore:
    """A store in the directory `path`, which is created if missing."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def place(self) -> str:
        return f"the directory {self._path}"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Block a second `tradingbot certs` on the same directory."""
        with _explained(self._path):
            self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self._path / ".lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def load(self) -> Stored:
        files = {name: self._read(name) for name in _FILES}
        return Stored(
            ca_crt=files["ca.crt"],
            ca_key=files["ca.key"],
            next_key=files["next.key"],
            since=files["since"],
            tls_crt=files["tls.crt"],
            tls_key=files["tls.key"],
            tls_ca_crt=files["ca.crt"],  # there is only one
        )

    def save_authorities(self, files: Mapping[str, bytes]) -> None:
        self._replace({name: files.get(name) for name in _AUTHORITIES})

    def save_serving(self, files: Mapping[str, bytes]) -> None:
        self._replace(files)

    def _read(self, name: str) -> bytes | None:
        path = self._path / name
        with _explained(path):
            try:
                with path.open("rb") as file:
                    content = file.read(_MAX_FILE + 1)
            except FileNotFoundError:
                return None
        if len(content) > _MAX_FILE:
            raise StorageError(f"{path} is too large for a certificate: move it away")
        return content

    def _replace(self, changed: Mapping[str, bytes | None]) -> None:
        """Swap in a generation with the `changed` files and the other files as they are."""
        files = {name: self._read(name) for name in _FILES} | dict(changed)
        data = self._path / _DATA
        with _explained(self._path):
            # The generation before this one stays until the next: a reader that has followed
            # ..data but not yet opened the file must still find it.
            previous = str(data.readlink()) if data.is_symlink() else ""
            generation = Path(tempfile.mkdtemp(prefix="..", dir=self._path))  # mode 0700
            try:
                for name, content in files.items():
                    if content is not None:
                        _write(generation / name, content, mode=_mode(name))
                flush(generation)
                _point(data, generation.name)
            except OSError:
                shutil.rmtree(generation, ignore_errors=True)
                raise
            for name, content in files.items():
                link = self._path / name
                if content is None:
                    link.unlink(missing_ok=True)
                elif not _points(link, f"{_DATA}/{name}"):
                    _point(link, f"{_DATA}/{name}")
            flush(self._path)
            self._remove_generations_except({generation.name, previous})

    def _remove_generations_except(self, keep: set[str]) -> None:
        for entry in self._path.iterdir():
            is_generation = (
                entry.name.startswith("..") and entry.is_dir() and not entry.is_symlink()
            )
            if is_generation and entry.name not in keep:
                shutil.rmtree(entry, ignore_errors=True)


def _mode(name: str) -> int:
    return _SECRET if name.endswith(".key") else _PUBLIC


def _write(path: Path, content: bytes, *, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)  # the umask may have removed bits
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _points(link: Path, target: str) -> bool:
    return link.is_symlink() and str(link.readlink()) == target


def _point(link: Path, target: str) -> None:
    """Make `link` a symbolic link to `target`, replacing an existing link in one step."""
    temporary = link.with_name(link.name + ".new")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.replace(link)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise StorageError(
            f"no permission for {error.filename or path}: run as its owner or choose another"
            " --cert-dir"
        ) from error
    except (FileExistsError, NotADirectoryError) as error:
        raise StorageError(
            f"{error.filename or path} is a file where a directory is needed: move it away or"
            " choose another --cert-dir"
        ) from error
    except IsADirectoryError as error:
        raise StorageError(
            f"{error.filename or path} is a directory where a file is needed: move it away"
        ) from error
    except OSError as error:
        raise StorageError(f"{error.filename or path}: {error.strerror}") from error
