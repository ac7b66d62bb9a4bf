"""Which certificate a server shows, asked of real TLS servers."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from certs_in_memory import NAMES, NOW
from cryptography import x509
from tradingbot_certs.authority import Pair, issue_authority, issue_serving
from tradingbot_certs.replicas import Servers

AUTHORITY = issue_authority(NOW)


def pair() -> Pair:
    return issue_serving(authority=AUTHORITY, names=NAMES, now=NOW)


@contextmanager
def serving(shown: Pair, folder: Path) -> Iterator[tuple[str, int]]:
    """A TLS server that takes handshakes."""
    for name, content in shown.files.items():
        (folder / name).write_bytes(content)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    with listening() as (listener, address):

        def accept() -> None:
            with suppress(OSError):
                while True:
                    raw, _ = listener.accept()
                    with suppress(OSError), closing(context.wrap_socket(raw, server_side=True)):
                        pass

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield address
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@contextmanager
def listening() -> Iterator[tuple[socket.socket, tuple[str, int]]]:
    """A listener that nobody accepts from: a server that hangs."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener, ("127.0.0.1", listener.getsockname()[1])


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    made = [tmp_path / "one", tmp_path / "two"]
    for folder in made:
        folder.mkdir()
    return made


def test_each_server_is_asked_and_no_certificate_is_judged(folders: list[Path]) -> None:
    one, two = pair(), pair()
    with serving(one, folders[0]) as first, serving(two, folders[1]) as second:
        assert Servers(lambda: [first, second, first]).ask() == {
            f"127.0.0.1:{first[1]}": one.certificate,
            f"127.0.0.1:{second[1]}": two.certificate,
        }


def test_a_server_that_hangs_or_is_gone_or_speaks_no_tls_shows_none(folders: list[Path]) -> None:
    with listening() as (_, hangs), socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))  # and not listening: refused
        gone = ("127.0.0.1", int(probe.getsockname()[1]))
        shown = Servers(lambda: [hangs, gone, ("no-such-host.invalid", 1)], timeout=0.2).ask()
        assert len(shown) == 3
        assert set(shown.values()) == {None}


def test_addresses_are_looked_up_each_time(folders: list[Path]) -> None:
    known: list[tuple[str, int]] = []
    servers = Servers(lambda: known)
    assert servers.ask() == {}
    with serving(pair(), folders[0]) as address:
        known.append(address)
        (shown,) = servers.ask().values()
        assert isinstance(shown, x509.Certificate)
