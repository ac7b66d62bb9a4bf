"""Reviews, certificates, and real `tradingbot webhooks` processes on free ports."""

from __future__ import annotations

import base64
import contextlib
import copy
import datetime as dt
import http.client
import ipaddress
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from tradingbot_dev.processes.waiting import STUCK_SECONDS

NOW = dt.datetime(2026, 11, 24, 12, 0, tzinfo=dt.UTC)
BOT: dict[str, Any] = {
    "apiVersion": "trading.io/v1",
    "kind": "TradingBot",
    "metadata": {"name": "arb", "namespace": "default"},
    "spec": {
        "strategy": {"type": "Arbitrage", "image": "registry.example/arb:1.4"},
        "exchange": {"name": "Binance", "apiKeySecret": "binance-keys"},
        "riskManagement": {"maxPositionSize": "1000", "dailyLossLimit": "50"},
    },
}


def bot(**spec: Any) -> dict[str, Any]:
    """The sample bot with parts of its spec replaced, `riskManagement` and such merged."""
    made = copy.deepcopy(BOT)
    for key, value in spec.items():
        if isinstance(value, dict) and isinstance(made["spec"].get(key), dict):
            made["spec"][key] |= value
        else:
            made["spec"][key] = value
    return made


def review(obj: Any, **request: Any) -> dict[str, Any]:
    """An AdmissionReview as the API server sends it."""
    return {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": {"group": "trading.io", "version": "v1", "kind": "TradingBot"},
            "resource": {"group": "trading.io", "version": "v1", "resource": "tradingbots"},
            "requestKind": {"group": "trading.io", "version": "v1", "kind": "TradingBot"},
            "name": "arb",
            "namespace": "default",
            "operation": "CREATE",
            "userInfo": {"username": "alice", "groups": ["system:authenticated"]},
            "object": obj,
            "oldObject": None,
            "dryRun": False,
            "options": {"apiVersion": "meta.k8s.io/v1", "kind": "CreateOptions"},
        }
        | request,
    }


def patch_of(response: dict[str, Any]) -> Any:
    return json.loads(base64.b64decode(response["patch"]))


class Authority:
    """Signs certificates for 127.0.0.1 and writes them the way a Secret volume does."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        self._certificate = self._signed(name, name, self._key.public_key(), ca=True)
        self.pem = self._certificate.public_bytes(serialization.Encoding.PEM).decode()
        self._generation = 0

    def pair(
        self, *, name: str = "one", key_type: str = "ec", expires: dt.datetime | None = None
    ) -> tuple[bytes, bytes]:
        key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
        if key_type == "rsa":
            key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        else:
            key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._signed(
            subject, self._certificate.subject, key.public_key(), ca=False, expires=expires
        )
        return certificate.public_bytes(serialization.Encoding.PEM), key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    def install(self, folder: Path, pair: tuple[bytes, bytes]) -> None:
        """Swap the pair in by one rename of the `..data` link, as the kubelet does."""
        self._generation += 1
        generation = folder / f"..{self._generation}"
        generation.mkdir(parents=True)
        for name, content in zip(("tls.crt", "tls.key"), pair, strict=True):
            (generation / name).write_bytes(content)
            if not (folder / name).is_symlink():
                (folder / name).symlink_to(f"..data/{name}")
        (folder / "..data_tmp").symlink_to(generation.name)
        (folder / "..data_tmp").replace(folder / "..data")

    def _signed(
        self,
        subject: x509.Name,
        issuer: x509.Name,
        public_key: Any,
        *,
        ca: bool,
        expires: dt.datetime | None = None,
    ) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=2))
            .not_valid_after(expires or now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if not ca:
            address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
            builder = builder.add_extension(
                x509.SubjectAlternativeName([x509.DNSName("localhost"), address]), critical=False
            )
        return builder.sign(self._key, hashes.SHA256())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def eventually(holds: Callable[[], object], *, seconds: float = STUCK_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"did not happen within {seconds} s"
        time.sleep(0.01)


@dataclass
class Server:
    """A `tradingbot webhooks` process."""

    process: subprocess.Popen[str]
    port: int
    health_port: int
    trust: ssl.SSLContext
    log: Path
    _connections: list[http.client.HTTPSConnection] = field(default_factory=list)

    def connect(self, timeout: float = STUCK_SECONDS) -> http.client.HTTPSConnection:
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.port, context=self.trust, timeout=timeout
        )
        self._connections.append(connection)
        return connection

    def tls_socket(self, *, server_name: str | None = None) -> ssl.SSLSocket:
        raw = socket.create_connection(("127.0.0.1", self.port), timeout=STUCK_SECONDS)
        return self.trust.wrap_socket(raw, server_hostname=server_name or "127.0.0.1")

    def post(
        self,
        path: str,
        body: Any,
        *,
        headers: dict[str, str] | None = None,
        connection: http.client.HTTPSConnection | None = None,
    ) -> tuple[int, Any]:
        connection = connection or self.connect()
        content = body if isinstance(body, bytes | Iterator) else json.dumps(body).encode()
        connection.request(
            "POST",
            path,
            body=content,
            headers={"Content-Type": "application/json"} | (headers or {}),
        )
        answer = connection.getresponse()
        text = answer.read()
        if answer.getheader("content-type") == "application/json":
            return answer.status, json.loads(text)["response"]
        return answer.status, text.decode()

    def health(self, path: str) -> tuple[int, str]:
        url = f"http://127.0.0.1:{self.health_port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=STUCK_SECONDS) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def is_ready(self) -> bool:
        try:
            return self.health("/readyz")[0] == 200
        except OSError:
            assert self.process.poll() is None, self.log.read_text()
            return False

    def metric(self, series: str) -> float:
        lines = self.health("/metrics")[1].splitlines()
        return sum(float(x.rpartition(" ")[2]) for x in lines if x.startswith(series))

    def stop(self, number: int = signal.SIGTERM) -> int:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, number)
        return self.process.wait(timeout=STUCK_SECONDS)

    def close(self) -> None:
        for connection in self._connections:
            connection.close()
        if self.process.poll() is None:
            self.stop()


PROGRAM = """
import logging, sys, json
class Lines(logging.Formatter):
    def format(self, r):
        known = logging.makeLogRecord({}).__dict__
        extra = {k: v for k, v in r.__dict__.items() if k not in known}
        return json.dumps({"logger": r.name, "message": r.getMessage(), **extra}, default=str)
handler = logging.StreamHandler(sys.stderr)
handler.setFormatter(Lines())
logging.basicConfig(level=logging.INFO, handlers=[handler])
from tradingbot_process.listening import ListenError
from tradingbot_webhooks.errors import WebhookError
from tradingbot_webhooks.server import run
from tradingbot_webhooks.settings import WebhookSettings
try:
    run(WebhookSettings())
except (ListenError, WebhookError) as error:
    sys.exit(f"error: {error}")
"""


@dataclass
class Starter:
    """Starts servers with settings from the environment, as in a pod."""

    folder: Path
    authority: Authority
    certs: Path
    _servers: list[Server] = field(default_factory=list)

    def __call__(self, *, wait: bool = True, program: str = PROGRAM, **settings: Any) -> Server:
        port, health_port = free_port(), free_port()
        values = {
            "port": port,
            "health_port": health_port,
            "cert_dir": self.certs,
            "cert_poll_interval": 0.02,
            "drain_delay": 0,
        } | settings
        environment = {
            "PATH": os.environ["PATH"],
            **{k: v for k, v in os.environ.items() if k.startswith(("KUBE", "COVERAGE"))},
            **{f"TRADINGBOT_WEBHOOKS_{k.upper()}": str(v) for k, v in values.items()},
        }
        log = self.folder / f"server-{len(self._servers)}.log"
        with log.open("w") as file:
            process = subprocess.Popen(
                [sys.executable, "-c", program], env=environment, stderr=file, text=True
            )
        trust = ssl.create_default_context(cadata=self.authority.pem)
        trust.verify_flags &= ~ssl.VERIFY_X509_STRICT
        server = Server(
            process, int(str(values["port"])), int(str(values["health_port"])), trust, log
        )
        self._servers.append(server)
        if wait:
            eventually(server.is_ready)
        return server

    def close(self) -> None:
        for server in self._servers:
            server.close()


def log_lines(server: Server) -> Sequence[dict[str, Any]]:
    return [json.loads(line) for line in server.log.read_text().splitlines() if line[:1] == "{"]
