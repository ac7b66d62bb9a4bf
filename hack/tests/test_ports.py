"""A taken port is reported together with the process that holds it."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import astuple, fields

import pytest
from tradingbot_dev.control_plane.ports import (
    BASE_VARIABLE,
    DEFAULT_BASE,
    Ports,
    demand_free,
    is_free,
)
from tradingbot_dev.errors import LocalClusterError, PortTakenError
from tradingbot_dev.product.manifests import ROOT

COUNT = len(fields(Ports))


@pytest.fixture
def listener() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


def test_a_taken_port_is_reported_in_one_line_with_its_holder(listener: int) -> None:
    with pytest.raises(PortTakenError) as caught:
        demand_free(listener, needed_by="registry")
    message = str(caught.value)
    assert f"port {listener}, which registry needs, is taken by" in message
    assert f"(pid {os.getpid()})" in message
    assert BASE_VARIABLE in message
    assert "\n" not in message


def test_a_port_held_on_all_addresses_is_taken_too() -> None:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        assert not is_free(taken.getsockname()[1])


def test_connections_that_are_long_closed_do_not_take_a_port() -> None:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = server.accept()
            accepted.close()  # first, so that its side is the one that lingers in TIME_WAIT
            client.recv(1)
    assert is_free(port)


def test_free_ports_are_different_ones_that_nobody_listens_on() -> None:
    ports = astuple(Ports.free())
    assert len(set(ports)) == COUNT
    assert all(map(is_free, ports))


def test_no_two_callers_are_given_the_same_free_ports() -> None:
    ask = (
        "from tradingbot_dev.control_plane.ports import Ports;"
        " print(*vars(Ports.free()).values()); input()"
    )
    command = [sys.executable, "-c", ask]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "hack")}
    with ExitStack() as others:
        given: list[int] = []
        for _ in range(4):
            other = others.enter_context(
                subprocess.Popen(
                    command,
                    env=environment,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            assert other.stdout is not None
            given += map(int, other.stdout.readline().split())
        for _ in range(200):
            given += astuple(Ports.free())
    assert len(given) == COUNT * 204
    assert len(set(given)) == len(given)


def test_the_local_ports_follow_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(BASE_VARIABLE, raising=False)
    assert Ports.from_environment().kube_apiserver == DEFAULT_BASE
    monkeypatch.setenv(BASE_VARIABLE, "31000")
    assert astuple(Ports.from_environment()) == tuple(range(31000, 31000 + COUNT))


@pytest.mark.parametrize("text", ["", "abc", "80", "65530", "-1", "1e4"])
def test_a_base_that_is_no_usable_number_is_refused(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(BASE_VARIABLE, text)
    with pytest.raises(LocalClusterError, match=BASE_VARIABLE):
        Ports.from_environment()
