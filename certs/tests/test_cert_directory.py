"""The directory: permissions, atomic swaps, and files that somebody else left there."""

from __future__ import annotations

import os
import ssl
import stat
import threading
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from certs_in_memory import NOW, words
from tradingbot_certs import directory
from tradingbot_certs.authority import CA_LIFETIME
from tradingbot_certs.directory import DirectoryStore
from tradingbot_certs.errors import StorageError
from tradingbot_certs.plan import SETTLE, Step
from tradingbot_certs.rotation import Rotation
from tradingbot_certs.settings import CertSettings

FILES = ("ca.crt", "ca.key", "tls.crt", "tls.key")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "certs"


def ensured(folder: Path, now: datetime = NOW, names: str = "localhost,127.0.0.1") -> list[Step]:
    settings = CertSettings(cert_dir=folder, cert_names=names)  # type: ignore[arg-type]
    return Rotation(
        rules=settings.rules,
        store=DirectoryStore(folder),
        trust=None,
        replicas=None,
        clock=lambda: now,
    ).check()


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


def generations(folder: Path) -> int:
    return len([p for p in folder.iterdir() if p.is_dir() and not p.is_symlink()])


def test_the_folder_and_its_keys_are_for_the_owner_alone(folder: Path) -> None:
    previous = os.umask(0)
    try:
        ensured(folder)
    finally:
        os.umask(previous)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "..data").stat().st_mode) == 0o700
    for name in ("ca.key", "tls.key"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600


def test_openssl_loads_the_pair_from_the_fixed_paths(folder: Path) -> None:
    ensured(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    context.load_verify_locations(folder / "ca.crt")


def test_a_second_run_changes_nothing_not_even_an_inode(folder: Path) -> None:
    ensured(folder)
    before = {name: (folder / name).stat() for name in FILES}
    ensured(folder, NOW + timedelta(days=30))
    assert {name: (folder / name).stat() for name in FILES} == before


def test_renewal_replaces_the_pair_and_keeps_the_authority(folder: Path) -> None:
    ensured(folder)
    before = contents(folder)
    ensured(folder, NOW + timedelta(days=61))
    after = contents(folder)
    assert before["ca.crt"] == after["ca.crt"]
    assert before["ca.key"] == after["ca.key"]
    assert before["tls.crt"] != after["tls.crt"]
    assert before["tls.key"] != after["tls.key"]


def test_old_generations_are_removed(folder: Path) -> None:
    for days in (0, 61, 122, 183):
        ensured(folder, NOW + timedelta(days=days))
    assert generations(folder) == 2, "this one, and the one that a reader may just be opening"
    assert sorted(p.name for p in folder.iterdir() if not p.name.startswith("..")) == [
        ".lock",
        *FILES,
    ]


def test_the_key_of_a_successor_is_there_as_long_as_there_is_one(folder: Path) -> None:
    ensured(folder)
    before = contents(folder)
    due = NOW + CA_LIFETIME * 2 / 3
    ensured(folder, due)
    assert stat.S_IMODE((folder / "next.key").stat().st_mode) == 0o600
    assert (folder / "ca.key").read_bytes() == before["ca.key"]
    assert (folder / "ca.crt").read_bytes().startswith(before["ca.crt"])
    successor = (folder / "next.key").read_bytes()
    ensured(folder, due + SETTLE)
    assert (folder / "ca.key").read_bytes() == successor
    assert not {"next.key", "since"} & {path.name for path in folder.iterdir()}


def test_a_reader_never_sees_a_file_half_written_or_missing(folder: Path) -> None:
    ensured(folder)
    stop = threading.Event()
    faults: list[str] = []

    def read() -> None:
        while not stop.is_set():
            for name in FILES:
                try:
                    content = (folder / name).read_text()
                except OSError as error:
                    faults.append(f"{name}: {error}")
                else:
                    if not content.endswith(("CERTIFICATE-----\n", "KEY-----\n")):
                        faults.append(f"{name} is cut short")

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for number in range(100):
            ensured(folder, names=f"host-{number}.example")
    finally:
        stop.set()
        reader.join()
    assert faults == []


class _Crash(BaseException):
    """As good as a SIGKILL: nothing in the code catches it."""


@pytest.mark.parametrize("point", range(9))
def test_a_crash_at_any_step_leaves_the_old_pair_or_the_new_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch, point: int
) -> None:
    ensured(folder)
    before = contents(folder)
    steps = 0

    def counted(function: str) -> None:
        original = getattr(directory, function)

        def step(*args: object, **kwargs: object) -> object:
            nonlocal steps
            if steps == point:
                raise _Crash
            steps += 1
            return original(*args, **kwargs)

        monkeypatch.setattr(directory, function, step)

    for function in ("_write", "flush", "_point"):
        counted(function)
    try:
        ensured(folder, names="other.example")
    except _Crash:
        pass
    else:
        assert point >= 7, "a renewal has seven steps"
    after = contents(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    assert (after["tls.crt"] == before["tls.crt"]) == (after["tls.key"] == before["tls.key"])
    monkeypatch.undo()
    ensured(folder, names="third.example")
    assert generations(folder) == 2


def test_files_placed_by_hand_are_adopted_if_they_are_ours(folder: Path, tmp_path: Path) -> None:
    ensured(folder)
    copied = tmp_path / "copied"
    copied.mkdir()
    for name, content in contents(folder).items():
        (copied / name).write_bytes(content)
    ensured(copied)
    assert not (copied / "tls.crt").is_symlink(), "nothing was due, so nothing was touched"
    ensured(copied, NOW + timedelta(days=61))
    assert (copied / "tls.crt").is_symlink()
    assert contents(copied)["ca.key"] == contents(folder)["ca.key"]


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "certs").write_text("")
    with pytest.raises(StorageError, match=r"certs is a file where a directory is needed"):
        ensured(tmp_path / "certs")


def test_a_file_that_is_a_folder_is_named(folder: Path) -> None:
    (folder / "tls.key").mkdir(parents=True)
    with pytest.raises(StorageError, match=r"tls\.key is a directory where a file is needed"):
        ensured(folder)


def test_an_unreadable_key_is_named(unprivileged_directory: Path) -> None:
    folder = unprivileged_directory / "certs"
    ensured(folder)
    (folder / "ca.key").chmod(0)
    with pytest.raises(StorageError, match=r"no permission for .*ca\.key"):
        ensured(folder)


def test_a_huge_file_is_refused(folder: Path) -> None:
    folder.mkdir()
    with (folder / "tls.crt").open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(StorageError, match="too large"):
        ensured(folder)


def test_two_processes_on_one_folder_take_turns(folder: Path) -> None:
    done: list[list[Step]] = []
    threads = [threading.Thread(target=lambda: done.append(ensured(folder))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(len(words(steps)) for steps in done) == [0] * 7 + [2]


def test_what_is_stored_is_what_is_loaded(folder: Path) -> None:
    ensured(folder)
    ensured(folder, NOW + CA_LIFETIME * 2 / 3)
    stored = DirectoryStore(folder).load()
    assert {name: stored.__dict__[name.replace(".", "_")] for name in FILES} == contents(folder)
    assert stored.tls_ca_crt == stored.ca_crt
    assert (stored.next_key, stored.since) == (
        (folder / "next.key").read_bytes(),
        (folder / "since").read_bytes(),
    )
