"""A tenant who attacks the system with the rights of `edit` in one namespace, and with sockets.

tenant = HostileTenant.admitted(person, bots)
with Attacks(tenant.attacks()) as attacks:
    ...  # each attack runs in a thread of its own, again and again
attacks.landed["deep managed fields"]  # how many times the API server or the port took it
"""

import json
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Self

import yaml
from person import Object, Person, named_bot, sample
from simulated_bots import SimulatedBots
from urllib3 import PoolManager, Timeout
from urllib3.exceptions import HTTPError

FLOODING = [f"flooding-{number}" for number in range(12)]
DEEP, HELD, POINTED, NOTED, SHARED = "deep", "held", "pointed", "noted", "shared"
"""The tenant's bots, each for one kind of attack: managed fields, a Deployment that holds its pods
back, a Service that points elsewhere, an annotation, foreign pods."""
OWN = (DEEP, HELD, POINTED, NOTED, SHARED)
LARGE_CONFIG_MAPS = 300
WAVES, WAVE = 20, 10
"""How often, and how many, bots are created and deleted at once."""
LABELLED_PODS = 40
IDLE_TLS, IDLE_TCP = 520, 70

_OPERATORS = {"app.kubernetes.io/managed-by": "tradingbot-operator"}
_MERGE = "application/merge-patch+json"
_MISERY = (
    (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
    (b"HTTP/1.1 200 OK\r\n", b"x: y\r\n" * 1000),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n" * 1000),
)
_HOLDS: tuple[Object, ...] = (
    {"minReadySeconds": 100_000, "progressDeadlineSeconds": 200_000},
    {"template": {"spec": {"readinessGates": [{"conditionType": "example.com/never"}]}}},
    {"paused": True},
)
_REVIEW = (
    b"POST /validate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n"
)


@dataclass(frozen=True)
class Attack:
    """One kind of attack, which is repeated."""

    act: Callable[[int], object]
    """Attacks once, or raises. The number counts the turns from 0."""
    pause: float = 0.5
    """Seconds until the next one: the machine has to run the cluster too, and an attack that
    costs the API server more than the product shows nothing."""


class NotTakenError(Exception):
    """The API server or the port did not take an attack; or there have been enough of them."""


@dataclass(frozen=True)
class HostileTenant:
    """Somebody with a namespace, the ClusterRole `edit` in it, a token, and loopback addresses."""

    person: Person
    bots: SimulatedBots
    token: str

    @classmethod
    def admitted(cls, person: Person, bots: SimulatedBots) -> Self:
        """Create the namespace with a ServiceAccount that has `edit`; then its bots, which run."""
        plane, namespace = person.system.plane, person.namespace
        person.kubectl("create", "namespace", namespace)
        person.kubectl("create", "serviceaccount", "hostile")
        binding = ("--clusterrole=edit", f"--serviceaccount={namespace}:hostile")
        done = person.kubectl("create", "rolebinding", "hostile", *binding)
        assert done.returncode == 0, done.stderr
        kubeconfig = plane.service_account_kubeconfig("hostile", namespace=namespace)
        token = str(yaml.safe_load(kubeconfig.read_text())["users"][0]["user"]["token"])
        names = [*FLOODING, *OWN]
        for name in names:
            bots.set(namespace, name)
        person.applied(sample("secret.yaml"), *map(named_bot, names))
        person.await_phases(dict.fromkeys(names, "Running"))
        return cls(person, bots, token)

    def attacks(self) -> Mapping[str, Attack]:
        """Every attack by its name; those on the bots' `/risk` begin at once."""
        for number, name in enumerate(FLOODING):
            after, piece = _MISERY[number % len(_MISERY)]
            self.bots.flood(self.person.namespace, name, piece, after=after)
        ports = self.person.system.plane.ports
        return {
            "deep managed fields": Attack(self.nest_managed_fields, pause=1),
            "large ConfigMaps": Attack(self.store_large_config_map, pause=0.05),
            "Service elsewhere": Attack(self.point_service_elsewhere),
            "deep annotation": Attack(self.nest_annotation),
            "pods held back": Attack(self.hold_pods_back),
            "pods with the labels": Attack(self.label_pods),
            "waves of bots": Attack(self.make_and_delete_bots),
            "large objects": Attack(self.send_large_object, pause=3),
            "large reviews": Attack(self.send_large_review, pause=0.2),
            "idle TLS": Attack(Idlers(ports.webhooks, IDLE_TLS, 3, tls=True).fill),
            "idle webhooks health": Attack(Idlers(ports.webhooks_health, IDLE_TCP, 4).fill),
            "idle operator health": Attack(Idlers(ports.operator_health, IDLE_TCP, 5).fill),
        }

    def nest_managed_fields(self, turn: int) -> None:
        depth = (1200, 300, 2000)[turn % 3]
        fields = '{"f:a":' * depth + "{}" + "}" * depth
        for path, version in (
            (_bots(self.namespace, DEEP), "trading.io/v1"),
            (_deployments(self.namespace, DEEP), "apps/v1"),
            (f"{_core(self.namespace)}/configmaps/{DEEP}-config", "v1"),
        ):
            entry = (
                f'{{"manager":"hostile","operation":"Update","apiVersion":"{version}",'
                f'"time":"2026-01-01T00:00:00Z","fieldsType":"FieldsV1","fieldsV1":{fields}}}'
            )
            body = f'{{"metadata":{{"managedFields":[{entry}]}}}}'
            self._send("PATCH", path, body.encode(), content_type=_MERGE)

    def store_large_config_map(self, turn: int) -> None:
        _bound(turn, LARGE_CONFIG_MAPS)
        labels = {**_OPERATORS, "trading.io/bot": SHARED}
        meta = {"name": f"large-{turn}", "labels": labels}
        body = {"metadata": meta, "data": {"bot.json": "x" * 900_000}}
        self._create(f"{_core(self.namespace)}/configmaps", body)

    def point_service_elsewhere(self, turn: int) -> None:
        spec = {"type": "ExternalName", "externalName": f"hangs-{turn}.example.com"}
        self._patch(f"{_core(self.namespace)}/services/{POINTED}", {"spec": spec})

    def nest_annotation(self, turn: int) -> None:
        value = ("[" * 20_000, '{"a":' * 20_000, "[" * 1200 + "]" * 1200)[turn % 3]
        patch = {"metadata": {"annotations": {"trading.io/credentials": value}}}
        self._patch(_deployments(self.namespace, NOTED), patch)

    def hold_pods_back(self, turn: int) -> None:
        spec = _HOLDS[turn % len(_HOLDS)]
        self._patch(_deployments(self.namespace, HELD), {"spec": spec})

    def label_pods(self, turn: int) -> None:
        """Create a pod with the labels of a bot: an own one, and one of another namespace."""
        _bound(turn, LABELLED_PODS)
        name = (SHARED, "victim-0")[turn % 2]
        labels = {
            **_OPERATORS,
            "app.kubernetes.io/name": "tradingbot",
            "app.kubernetes.io/instance": name,
            "trading.io/bot": name,
        }
        container = {"name": "bot", "image": "example.com/profit:1"}
        meta = {"generateName": "profit-", "labels": labels}
        body = {"metadata": meta, "spec": {"containers": [container]}}
        self._create(f"{_core(self.namespace)}/pods", body)

    def make_and_delete_bots(self, turn: int) -> None:
        _bound(turn, WAVES)
        names = [f"wave-{turn}-{number}" for number in range(WAVE)]
        try:
            for name in names:
                self._create(_bots(self.namespace), named_bot(name))
            time.sleep(1)  # some are being reconciled by then
        finally:
            for name in names:
                self._send("DELETE", _bots(self.namespace, name), b"", also=range(404, 405))

    def send_large_object(self, turn: int) -> None:
        """Create an AssetRegistry of empty objects, which the webhooks refuse.

        One of 2.9 MB costs the API server more than a second of CPU time, and the webhooks less
        than a tenth of that: it would be an attack on the API server.
        """
        body = (
            b'{"apiVersion":"trading.io/v1","kind":"AssetRegistry","metadata":{"name":"large-%d"},'
            b'"spec":{"assets":[{"name":"a","type":"Other","config":{"a":[%s]}}]}}'
            % (turn, _empty_objects(300_000))
        )
        path = f"/apis/trading.io/v1/namespaces/{self.namespace}/assetregistries"
        self._send("POST", path, body, also=range(400, 500))

    def send_large_review(self, _turn: int) -> None:
        """Send a review to the webhooks past the API server; the port is open to everybody."""
        body = (
            b'{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u",'
            b'"object":{"spec":{"assets":[%s]}}}}' % _empty_objects(960_000)
        )
        address = ("127.0.6.1", 0)
        with _connected(self.person.system.plane.ports.webhooks, address, tls=True) as made:
            made.sendall(_REVIEW + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            if not made.recv(12).startswith(b"HTTP/1.1 "):
                raise NotTakenError("no answer")

    @property
    def namespace(self) -> str:
        return self.person.namespace

    def _create(self, path: str, body: Object) -> None:
        self._send("POST", path, json.dumps(body).encode())

    def _patch(self, path: str, patch: Object) -> None:
        self._send("PATCH", path, json.dumps(patch).encode(), content_type=_MERGE)

    def _send(
        self,
        method: str,
        path: str,
        body: bytes,
        *,
        content_type: str = "application/json",
        also: range = range(0),
    ) -> None:
        """Send a request as the tenant; NotTakenError unless it succeeds, or fails as in `also`."""
        plane = self.person.system.plane
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": content_type}
        with PoolManager(ca_certs=str(plane.pki.ca), timeout=Timeout(60), retries=False) as pool:
            answer = pool.request(method, plane.server + path, body=body, headers=headers)
        if answer.status not in range(200, 300) and answer.status not in also:
            raise NotTakenError(f"{method} {path}: {answer.status} {answer.data[:300]!r}")


@dataclass
class Idlers:
    """Connections to a port that say nothing, from the addresses 127.0.`net`.1 to .254."""

    port: int
    wanted: int
    net: int
    tls: bool = False
    _open: list[socket.socket] = field(default_factory=list)

    def fill(self, _turn: int) -> None:
        """Connect again in place of those that the server has closed."""
        self._open = [made for made in self._open if _is_open(made)]
        hosts = count(len(self._open))
        while len(self._open) < self.wanted:
            address = (f"127.0.{self.net}.{next(hosts) % 254 + 1}", 0)
            self._open.append(_connected(self.port, address, tls=self.tls))


@dataclass(kw_only=True)
class Background:
    """Threads that work until the block ends, or until they see that `ended` is set."""

    ended: threading.Event = field(default_factory=threading.Event)
    threads: list[threading.Thread] = field(default_factory=list)

    def start(self, work: Callable[..., object], *arguments: object) -> None:
        """Run `work` in a thread of its own."""
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self.threads.append(thread)
        thread.start()

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        for thread in self.threads:
            thread.join(timeout=30)


@dataclass
class Attacks(Background):
    """Runs each attack in a thread, again and again, until the block ends."""

    attacks: Mapping[str, Attack]
    landed: Counter[str] = field(default_factory=Counter)
    failed: dict[str, str] = field(default_factory=dict)
    """The last error of each attack, of those that met any."""

    def __enter__(self) -> Self:
        for name, attack in self.attacks.items():
            self.start(self._run, name, attack)
        return self

    def all_landed(self) -> bool:
        """Return whether each attack was taken at least once; AssertionError names the others."""
        missing = {name: self.failed.get(name) for name in self.attacks if not self.landed[name]}
        assert not missing, f"not taken yet: {missing}"
        return True

    def _run(self, name: str, attack: Attack) -> None:
        for turn in count():
            try:
                attack.act(turn)
                self.landed[name] += 1
            except (NotTakenError, OSError, HTTPError) as error:
                self.failed[name] = repr(error)[:500]
            if self.ended.wait(attack.pause):
                return


def _bound(turn: int, most: int) -> None:
    if turn >= most:
        raise NotTakenError("enough of these")


def _connected(port: int, address: tuple[str, int], *, tls: bool = False) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", port), 10, address)
    if not tls:
        return made
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    return trusting.wrap_socket(made)


def _is_open(made: socket.socket) -> bool:
    made.settimeout(0)
    try:
        if made.recv(4096):
            return True
    except (BlockingIOError, ssl.SSLWantReadError):
        return True
    except OSError:
        pass
    with suppress(OSError):
        made.close()
    return False


def _empty_objects(number: int) -> bytes:
    return b"{}" + b",{}" * (number - 1)


def _core(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}"


def _deployments(namespace: str, name: str) -> str:
    return f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}"


def _bots(namespace: str, name: str = "") -> str:
    path = f"/apis/trading.io/v1/namespaces/{namespace}/tradingbots"
    return f"{path}/{name}" if name else path
