"""Listening sockets: on one address, or on all of both families."""

from __future__ import annotations

import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tradingbot_process.files import flush
from tradingbot_process.listening import ListenError, base_url, is_loopback_only, listen


def is_reached(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=5).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="the machine has no IPv6")
@pytest.mark.parametrize(
    ("host", "reached"),
    [("", (True, True)), ("127.0.0.1", (True, False)), ("::1", (False, True))],
)
def test_no_host_is_all_addresses_of_both_families(host: str, reached: tuple[bool, bool]) -> None:
    with listen(host, 0, setting="--port") as sock:
        port = sock.getsockname()[1]
        assert (is_reached("127.0.0.1", port), is_reached("::1", port)) == reached


def test_a_machine_without_ipv6_listens_on_all_addresses_that_it_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    with listen("", 0, setting="--port") as sock:
        assert sock.family is socket.AF_INET
        assert is_reached("127.0.0.1", sock.getsockname()[1])


def test_a_taken_port_is_one_line_with_the_setting_to_change() -> None:
    with listen("127.0.0.1", 0, setting="--port") as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ListenError) as caught:
            listen("127.0.0.1", port, setting="--health-port")
    assert str(caught.value) == (
        f"cannot listen on 127.0.0.1:{port}: the port is taken by another process."
        " Choose another --health-port"
    )


def test_an_unknown_host_is_named() -> None:
    with pytest.raises(ListenError, match=r"^host 'no\.such\.invalid' can't be resolved: "):
        listen("no.such.invalid", 0, setting="--port")


@pytest.mark.parametrize(
    ("host", "alone"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("", False),
        ("0.0.0.0", False),
        ("192.0.2.1", False),
    ],
)
def test_what_other_machines_reach(host: str, alone: bool) -> None:
    assert is_loopback_only(host) is alone


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_the_url_of_a_server_can_be_called(host: str) -> None:
    with listen(host, 0, setting="--port") as sock:
        parts = urlsplit(base_url(sock, tls=False))
        assert parts.scheme == "http"
        assert (parts.hostname, parts.port) == sock.getsockname()[:2]


def test_files_and_names_are_flushed(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    flush(file)
    flush(tmp_path)
    with pytest.raises(FileNotFoundError):
        flush(tmp_path / "missing")
