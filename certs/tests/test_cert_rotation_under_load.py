"""An authority is replaced under an API server that asks all the time, by two who are killed.

All are real processes: the API server, two webhook servers that follow the Secret late, and two
`tradingbot certs`, each ended by SIGKILL now and then and started again.
"""

from __future__ import annotations

import random
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from cryptography import x509
from reviewed_cluster import LOOPBACK, ReviewedCluster, reviewed_cluster
from tradingbot_certs.authority import certificate_pem, issued_by
from tradingbot_dev.processes.waiting import wait_until

KILLS = 8
SETTLE = 2.0
SECONDS = 90.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[ReviewedCluster]:
    """Its authority is due, by the lifetimes that every installation has."""
    with reviewed_cluster(settle=SETTLE) as one:
        yield one


@contextmanager
def rotators(cluster: ReviewedCluster) -> Iterator[None]:
    """Both at work, and one after the other killed, so that one is left to go on."""
    stop, chosen = threading.Event(), random.Random()

    def kill() -> None:
        for number in range(KILLS):
            if stop.wait(chosen.uniform(0.2, 2.5)):
                return
            program = cluster.rotators[number % 2]
            cluster.kill(program)
            cluster.start(program)

    for program in cluster.rotators:
        cluster.start(program)
    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        for program in cluster.rotators:
            cluster.kill(program)


def shown(port: int) -> x509.Certificate:
    pem = ssl.get_server_certificate((LOOPBACK, port), timeout=5)
    return x509.load_pem_x509_certificate(pem.encode())


@pytest.mark.parametrize("because", ["it is due", "it is lost"])
def test_an_authority_is_replaced_and_no_review_fails(
    cluster: ReviewedCluster, because: str
) -> None:
    (old,) = cluster.authorities()
    connections, handshakes = cluster.proxy.connections, cluster.handshakes

    def replaced() -> bool:
        stored = cluster.authorities()
        alone = len(stored) == 1 and old not in stored
        return alone and cluster.bundles() == {certificate_pem(*stored)}

    with cluster.load():
        before = cluster.reviews
        wait_until(lambda: cluster.reviews > before + 20, what="some load", seconds=SECONDS)
        if because == "it is lost":
            cluster.lose_authorities()
        with rotators(cluster):
            wait_until(replaced, what="another authority alone", seconds=SECONDS, every=0.25)
        after = cluster.reviews
        wait_until(lambda: cluster.reviews > after + 20, what="some load", seconds=SECONDS)

    assert cluster.faults == []
    assert cluster.proxy.connections > connections + 20, "each of them a handshake"
    assert cluster.handshakes > handshakes + 20
    (authority,) = cluster.authorities()
    for server in cluster.servers:
        assert issued_by(shown(server.port), authority)
