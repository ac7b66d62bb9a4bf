"""Listening sockets: on one address, or on all of both families."""

from __future__ import annotations

import socket

import pytest
from tradingbot_exchange.listening import listen


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
