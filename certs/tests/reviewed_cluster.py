"""An API server that asks two real webhook servers, and what is between them in a cluster.

The kubelets' part, a Secret that becomes files some time later, is played by a thread for each
server; the Service's by a proxy, which can also cut the connections that nobody uses at the moment,
so that what is asked next begins with a handshake.
"""

from __future__ import annotations

import base64
import datetime as dt
import itertools
import random
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from kubernetes.client import AdmissionregistrationV1Api, ApiClient, CoreV1Api
from kubernetes.client.exceptions import ApiException
from kubernetes.config import new_client_from_config
from tradingbot_certs.authority import (
    CA_LIFETIME,
    SERVING_LIFETIME,
    Names,
    issue_authority,
    issue_serving,
)
from tradingbot_certs.secret import SecretStore
from tradingbot_certs.state import Authorities
from tradingbot_dev.control_plane.apiclient import http_answer
from tradingbot_dev.control_plane.plane import (
    SYSTEM_NAMESPACE,
    ControlPlane,
    temporary_control_plane,
)
from tradingbot_dev.control_plane.ports import Ports
from tradingbot_dev.processes.table import Program
from tradingbot_dev.processes.waiting import STUCK_SECONDS, wait_until
from tradingbot_dev.product import manifests
from tradingbot_dev.product.system import BOTS, tradingbot_path

SECRET = "tradingbot-webhook-tls"
CA_SECRET = f"{SECRET}-ca"
LOOPBACK = "127.0.0.1"
PATIENCE = STUCK_SECONDS
_CUT = (b"use of closed network connection", b"write: broken pipe")
"""Errors of an API server that uses a connection while the test ends it. A certificate
that is not trusted reads otherwise."""
KUBELET_SECONDS = (0.1, 0.8)
_LOADS = 3
_PAUSE = 0.15
"""Seconds. No step of a rotation is shorter than the least of KUBELET_SECONDS, so each meets a
review of one of the loads at least. Without pauses, the load would take all of the CPU time that
the rotation needs; with 0.06 it took six seconds more."""


@dataclass(frozen=True)
class Server:
    """One webhook server's place."""

    name: str
    port: int
    health_port: int
    directory: Path


@dataclass
class ReviewedCluster:
    """What a test does to it, and sees of it."""

    plane: ControlPlane
    client: ApiClient
    servers: tuple[Server, ...]
    proxy: Proxy
    rotators: tuple[Program, ...]
    faults: list[str] = field(default_factory=list)
    reviews: int = 0
    handshakes: int = 0

    # ---- the processes

    def start(self, program: Program) -> None:
        self.plane.table.start(program)

    def kill(self, program: Program) -> None:
        """SIGKILL."""
        self.plane.table.kill(program.name)

    # ---- the state

    def authorities(self) -> list[x509.Certificate]:
        """Those that are stored, the one that signs first; none while they are lost."""
        try:
            found = CoreV1Api(self.client).read_namespaced_secret(CA_SECRET, SYSTEM_NAMESPACE)
        except ApiException as error:
            if error.status == 404:
                return []
            raise
        return x509.load_pem_x509_certificates(base64.b64decode(found.data["ca.crt"]))

    def lose_authorities(self) -> None:
        CoreV1Api(self.client).delete_namespaced_secret(CA_SECRET, SYSTEM_NAMESPACE)

    def bundles(self) -> set[bytes]:
        """What the webhook configurations tell the API server to trust."""
        api = AdmissionregistrationV1Api(self.client)
        found = (
            api.read_mutating_webhook_configuration("tradingbot-mutating"),
            api.read_validating_webhook_configuration("tradingbot-validating"),
        )
        encoded = [
            webhook.client_config.ca_bundle for each in found for webhook in each.webhooks or []
        ]
        return {base64.b64decode(bundle) for bundle in encoded}

    # ---- load

    @contextmanager
    def load(self) -> Iterator[None]:
        """Reviews, and handshakes with each server, one after the other with short pauses."""
        stop = threading.Event()
        turns = [threading.Lock() for _ in range(_LOADS)]
        work: list[Callable[[], None]] = [lambda turn=turn: self._review(turn) for turn in turns]  # type: ignore[misc]
        work += [self._shake_hands, lambda: self._cut(turns, stop)]

        def repeat(one: Callable[[], None]) -> None:
            while not stop.wait(_PAUSE):
                one()

        threads = [threading.Thread(target=repeat, args=(job,)) for job in work]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    def _review(self, turn: threading.Lock) -> None:
        """A bot that is made and not stored: each of the two webhooks is asked once."""
        with turn:
            answer = self.plane.client.post(f"{BOTS}?dryRun=All", _LOAD)
        if answer is not None and any(said in answer.body for said in _CUT):
            return
        if answer is None or answer.status != 201 or _CONVERTED not in answer.body:
            self.faults.append(f"review: {answer.body.decode() if answer else 'no answer'}")
        self.reviews += 1

    def _shake_hands(self) -> None:
        """As an API server that has just followed, or not quite, and has no connection yet."""
        for bundle in self.bundles():
            trust = ssl.create_default_context(cadata=bundle.decode())
            for server in self.servers:
                try:
                    with (
                        socket.create_connection((LOOPBACK, server.port), timeout=5) as raw,
                        trust.wrap_socket(raw, server_hostname=LOOPBACK),
                    ):
                        self.handshakes += 1
                except OSError as error:
                    self.faults.append(f"handshake with {server.name}: {error}")

    def _cut(self, turns: list[threading.Lock], stop: threading.Event) -> None:
        stop.wait(0.1)
        with ExitStack() as held:
            for turn in turns:
                held.enter_context(turn)  # no review is under way
            self.proxy.cut()


class Proxy:
    """Passes each connection on to the next of the `targets`."""

    def __init__(self, port: int, targets: list[int]) -> None:
        self.connections = 0
        self._targets = itertools.cycle(targets)
        self._listener = socket.create_server((LOOPBACK, port))
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """End every connection, and wait until both sides have noticed: an API server that writes
        into one that has just gone has a broken pipe, which is not the fault of any
        certificate."""
        with self._lock:
            ended = set(self._open)
            for connection in ended:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_WR)
        deadline = time.monotonic() + PATIENCE
        while ended & self._open and time.monotonic() < deadline:
            time.sleep(0.01)

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection((LOOPBACK, next(self._targets)))
                self.connections += 1
                with self._lock:
                    self._open |= {near, far}
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._pass_on, args=(one, other), daemon=True).start()

    def _pass_on(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while content := one.recv(1 << 16):
                other.sendall(content)
        with suppress(OSError):
            other.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._open.discard(one)
        one.close()


@contextmanager
def reviewed_cluster(*, settle: float) -> Iterator[ReviewedCluster]:
    """With certificates that are due, and nobody who looks after them yet."""
    with temporary_control_plane(audit=False) as plane, ExitStack() as stack:
        rendered = manifests.Manifests.render(
            lambda directory: plane.kubectl("kustomize", str(directory), check=True).stdout
        )
        plane.kubectl("apply", "-f", "-", stdin=manifests.text(rendered.installed), check=True)
        client = new_client_from_config(str(plane.kubeconfig))
        stack.callback(client.close)
        bundle = _store_certificates(client)
        ports = Ports.free()
        servers = (
            Server("one", ports.kube_apiserver, ports.etcd_client, plane.directory / "one"),
            Server("two", ports.etcd_peer, ports.scheduler, plane.directory / "two"),
        )
        for server in servers:
            stack.enter_context(_kubelet(client, server.directory))
        for server in servers:
            plane.table.start(_webhooks(server))
        proxy = Proxy(ports.webhooks, [server.port for server in servers])
        stack.callback(proxy.close)
        cluster = ReviewedCluster(plane, client, servers, proxy, _rotators(plane, servers, settle))
        for server in servers:
            wait_until(
                lambda port=server.health_port: _is_ready(port),  # type: ignore[misc]
                what=f"webhook server {server.name}",
                seconds=PATIENCE,
                table=plane.table,
                needs=(server.name,),
            )
        webhooks = rendered.webhooks_at(f"https://{LOOPBACK}:{ports.webhooks}", ca=bundle)
        plane.kubectl("apply", "-f", "-", stdin=manifests.text(webhooks), check=True)
        wait_until(lambda: _is_reviewed(plane), what="admission", seconds=PATIENCE)
        yield cluster


def _store_certificates(client: ApiClient) -> bytes:
    """As `tradingbot certs` made them, two thirds of their lives ago. Returns the bundle."""
    now = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=1)
    authority = issue_authority(now - CA_LIFETIME * 2 / 3)
    serving = issue_serving(
        authority=authority, names=Names.parse([LOOPBACK]), now=now - SERVING_LIFETIME * 2 / 3
    )
    authorities = Authorities(signing=authority)
    store = SecretStore(client, namespace=SYSTEM_NAMESPACE, name=SECRET, ca_name=CA_SECRET)
    store.load()
    store.save_authorities(authorities.files)
    store.save_serving({**serving.files, "ca.crt": authorities.ca_crt})
    return authorities.ca_crt


def _webhooks(server: Server) -> Program:
    command = (
        *(tradingbot_path(), "webhooks", f"--port={server.port}"),
        *(f"--health-port={server.health_port}", f"--cert-dir={server.directory}"),
        *("--drain-delay=0", "--cert-poll-interval=0.2"),
    )
    return Program(server.name, command, ports=(server.port, server.health_port))


def _rotators(
    plane: ControlPlane, servers: tuple[Server, ...], settle: float
) -> tuple[Program, ...]:
    """Two, with the rights of their account."""
    addresses = ",".join(f"{LOOPBACK}:{server.port}" for server in servers)
    kubeconfig = plane.service_account_kubeconfig("tradingbot-certs")
    command = (
        *(tradingbot_path(), "certs", f"--secret={SYSTEM_NAMESPACE}/{SECRET}"),
        *(f"--cert-names={LOOPBACK}", f"--webhook-addresses={addresses}"),
        *(f"--settle={settle}", "--check-interval=0.2", "--health-port=0"),
        "--log-format=json",
    )
    environment = {"KUBECONFIG": str(kubeconfig)}
    return tuple(Program(f"certs-{name}", command, environment) for name in ("one", "two"))


@contextmanager
def _kubelet(client: ApiClient, directory: Path) -> Iterator[None]:
    """Makes files of the Secret, as a kubelet does: late, and both at once."""
    api, stop, numbers = CoreV1Api(client), threading.Event(), itertools.count()

    written: dict[str, str] = {}

    def refresh() -> None:
        data = api.read_namespaced_secret(SECRET, SYSTEM_NAMESPACE).data or {}
        if data == written:
            return
        written.clear()
        written.update(data)
        generation = directory / f"..{next(numbers)}"
        generation.mkdir(parents=True)
        for name in ("tls.crt", "tls.key"):
            (generation / name).write_bytes(base64.b64decode(data[name]))
            if not (directory / name).is_symlink():
                (directory / name).symlink_to(f"..data/{name}")
        (directory / "..new").symlink_to(generation.name)
        (directory / "..new").replace(directory / "..data")

    def keep() -> None:
        while not stop.wait(random.uniform(*KUBELET_SECONDS)):
            refresh()

    refresh()
    thread = threading.Thread(target=keep)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


_CONVERTED = b'"stopLossPercentage":"2.5"'
"""What the mutating webhook makes of the number 2.5."""


def _with_a_fraction() -> dict[str, Any]:
    bot = manifests.load(manifests.SAMPLE_BOT)
    bot["spec"]["riskManagement"]["stopLossPercentage"] = 2.5
    return bot


_LOAD = {**_with_a_fraction(), "metadata": {"name": "load"}}


def _is_ready(health_port: int) -> bool:
    answer = http_answer(health_port, "/readyz")
    return answer is not None and answer.status == 200


def _is_reviewed(plane: ControlPlane) -> bool:
    bot = _with_a_fraction()
    answer = plane.client.post(f"{BOTS}?dryRun=All", bot)
    broken = {**bot, "spec": {**bot["spec"], "schedule": {"timeZone": "Nowhere/Land"}}}
    denied = plane.client.post(f"{BOTS}?dryRun=All", broken)
    return (
        answer is not None
        and _CONVERTED in answer.body
        and denied is not None
        and b"admission webhook" in denied.body
    )
