"""Real `tradingbot exchange` processes on free ports, and signed requests to them."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import os
import resource
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

FIRST_PAUSE = 0.02
LONGEST_PAUSE = 0.25
"""Seconds. Most questions are requests to the process under test, which costs both CPU time."""


def eventually(holds: Callable[[], object], *, seconds: float = 20.0) -> None:
    deadline, pause = time.monotonic() + seconds, FIRST_PAUSE
    while not holds():
        assert time.monotonic() < deadline, f"did not happen within {seconds} s"
        time.sleep(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE)


def resident_memory(process: subprocess.Popen[str]) -> int:
    """The bytes of memory that a process has now."""
    statm = Path(f"/proc/{process.pid}/statm").read_text()
    return int(statm.split()[1]) * resource.getpagesize()


def is_closed(sock: socket.socket) -> bool:
    """Whether the other side has closed a connection on which it sends nothing."""
    sock.setblocking(False)
    try:
        return sock.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "tradingbot_cli", "exchange", *arguments]


def ended(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run an exchange that is expected not to start."""
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=60, check=False
    )


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: Any


@dataclass
class Exchange:
    """A running process."""

    process: subprocess.Popen[str]
    log: Path
    output: Path
    trust: ssl.SSLContext | None = None
    start: dict[str, Any] = field(default_factory=dict)

    @property
    def port(self) -> int:
        return urllib.parse.urlsplit(self.start["url"]).port or 0

    @property
    def control_port(self) -> int:
        return urllib.parse.urlsplit(self.start["control_url"]).port or 0

    def lines(self) -> list[dict[str, Any]]:
        text = self.log.read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def wait_until_ready(self) -> None:
        def has_started() -> bool:
            assert self.process.poll() is None, self.log.read_text(encoding="utf-8")
            found = [line for line in self.lines() if "control_url" in line]
            self.start = found[0] if found else {}
            return bool(found)

        eventually(has_started, seconds=60)
        eventually(lambda: self.control("GET", "/market").status == 200)

    def key(self) -> dict[str, str]:
        printed = yaml.safe_load(self.output.read_text(encoding="utf-8"))
        found: dict[str, str] = printed["keys"][0]
        return found

    def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        port: int | None = None,
        timeout: float = 20.0,
    ) -> Answer:
        port = port or self.port
        connection = (
            http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
            if self.trust is None or port != self.port
            else http.client.HTTPSConnection("127.0.0.1", port, timeout=timeout, context=self.trust)
        )
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        named = {name.lower(): value for name, value in answer.getheaders()}
        parsed = json.loads(text) if "json" in named.get("content-type", "") else text
        return Answer(answer.status, named, parsed)

    def control(self, method: str, path: str, body: Any = None) -> Answer:
        content = None if body is None else json.dumps(body).encode()
        headers = {} if body is None else {"Content-Type": "application/json"}
        return self.request(method, path, body=content, headers=headers, port=self.control_port)

    def fault(self, **body: Any) -> str:
        answer = self.control("POST", "/faults", body)
        assert answer.status == 201, answer.body
        return str(answer.body["id"])

    def signed(self, method: str, path: str, *, timeout: float = 20.0, **parameters: Any) -> Answer:
        """Send a signed request to Binance's dialect."""
        key = self.key()
        values = {**parameters, "timestamp": time.time_ns() // 1_000_000, "recvWindow": 60000}
        query = urllib.parse.urlencode(values)
        signature = hmac.new(key["secret"].encode(), query.encode(), hashlib.sha256).hexdigest()
        return self.request(
            method,
            f"{path}?{query}&signature={signature}",
            headers={"X-MBX-APIKEY": key["name"]},
            timeout=timeout,
        )

    def order(self, *, client_id: str = "", timeout: float = 20.0, **changes: Any) -> Answer:
        values = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.001"}
        if client_id:
            values["newClientOrderId"] = client_id
        return self.signed("POST", "/api/v3/order", timeout=timeout, **(values | changes))

    def order_ids(self) -> set[str]:
        answer = self.signed("GET", "/api/v3/allOrders", symbol="BTCUSDT", limit=1000)
        assert answer.status == 200, answer.body
        return {order["clientOrderId"] for order in answer.body}

    def stop(self, number: int = signal.SIGTERM) -> int:
        os.kill(self.process.pid, number)
        return self.process.wait(timeout=20)

    def close(self) -> None:
        if self.process.poll() is None:
            self.stop()


@dataclass
class Starter:
    directory: Path
    started: list[Exchange] = field(default_factory=list)

    def __call__(
        self, *arguments: str, trust: ssl.SSLContext | None = None, dialect: str = "binance"
    ) -> Exchange:
        number = len(self.started)
        log, output = self.directory / f"{number}.log", self.directory / f"{number}.out"
        flags = ["--dialect", dialect, "--port", "0", "--control-port", "0", "--seed", "7"]
        with log.open("w") as errors, output.open("w") as out:
            process = subprocess.Popen(
                command(*flags, "--log-format", "json", *arguments),
                stderr=errors,
                stdout=out,
                text=True,
            )
        made = Exchange(process, log, output, trust)
        self.started.append(made)
        made.wait_until_ready()
        return made

    def close(self) -> None:
        for exchange in self.started:
            exchange.close()


def certificate_for_loopback(directory: Path) -> tuple[Path, Path]:
    import datetime as dt
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    certificate, private = directory / "tls.crt", directory / "tls.key"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate, private
