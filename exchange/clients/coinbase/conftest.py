"""A simulated Coinbase for the clients, as a process of its own, with and without TLS.

The tests run in an environment that has the clients and pytest only. TRADINGBOT_EXCHANGE_COMMAND is
the command that starts an exchange (`.venv/bin/tradingbot exchange`).
"""

import base64
import datetime as dt
import ipaddress
import json
import os
import shlex
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID

DEADLINE_SECONDS = 30
ACCOUNT = "client"
SPARE_KEYS = 20
BALANCES = "USD=1000000,BTC=20,ETH=100"


@dataclass(frozen=True)
class Key:
    """The name of a key, and the secret that a client is given."""

    name: str
    secret: str


def ec_key(name: str) -> Key:
    """Return a key as Coinbase hands it out by default."""
    secret = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    return Key(f"organizations/o/apiKeys/{name}", secret.decode())


def ed25519_key(name: str) -> Key:
    """Return a key in the newer form: 64 bytes in base64."""
    key = ed25519.Ed25519PrivateKey.generate()
    both = key.private_bytes_raw() + key.public_key().public_bytes_raw()
    return Key(f"organizations/o/apiKeys/{name}", base64.b64encode(both).decode())


@dataclass(frozen=True)
class Exchange:
    """Where it listens, and its keys, all of one account."""

    port: int
    control_port: int
    ec: Key
    ed: Key
    legacy: Key
    reader: Key
    spare: dict[str, list[Key]]
    """Keys by kind, for tests that would share the rate limit of one."""
    certificate: Path | None = None

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    @property
    def ws_url(self) -> str:
        return f"ws://{self.host}"

    def add_fault(self, **fault: Any) -> None:
        """Begin a fault, such as `type="reject"`."""
        self._control("POST", "/faults", fault)

    def end_faults(self) -> None:
        self._control("DELETE", "/faults")

    def _control(self, method: str, path: str, body: dict[str, Any] | None = None) -> None:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.control_port}{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=10):
            pass


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    yield from started(tmp_path_factory.mktemp("exchange"))


@pytest.fixture(scope="module")
def tls_exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    here = tmp_path_factory.mktemp("tls")
    yield from started(here, tls=certificate(here))


def started(here: Path, *, tls: tuple[Path, Path] | None = None) -> Iterator[Exchange]:
    """Start an exchange, yield it, and stop it."""
    command = os.environ.get("TRADINGBOT_EXCHANGE_COMMAND")
    if command is None:
        pytest.fail("set TRADINGBOT_EXCHANGE_COMMAND to the command that starts an exchange")
    exchange = Exchange(
        free_port(),
        free_port(),
        ec_key("ec"),
        ed25519_key("ed"),
        Key("legacy-key", "a secret of the old kind"),
        ec_key("reader"),
        {
            "ec": [ec_key(f"ec{number}") for number in range(SPARE_KEYS)],
            "ed": [ed25519_key(f"ed{number}") for number in range(SPARE_KEYS)],
        },
        None if tls is None else tls[0],
    )
    keys = here / "keys.yaml"
    keys.write_text(json.dumps({"keys": key_entries(exchange)}))
    keys.chmod(0o600)
    arguments = [
        *shlex.split(command),
        *("--dialect", "coinbase", "--seed", "7", "--balance", BALANCES, "--keys", str(keys)),
        *("--port", str(exchange.port), "--control-port", str(exchange.control_port)),
    ]
    if tls is not None:
        arguments += ["--tls-cert", str(tls[0]), "--tls-key", str(tls[1])]
    with (here / "log").open("w") as log:
        process = subprocess.Popen(arguments, stdout=log, stderr=subprocess.STDOUT)
    try:
        wait_until(lambda: listens(exchange.port) or process.poll() is not None)
        if process.poll() is not None:
            pytest.fail(f"the exchange did not start: {(here / 'log').read_text()[-2000:]}")
        yield exchange
    finally:
        process.terminate()
        process.wait(timeout=10)


def key_entries(exchange: Exchange) -> list[dict[str, Any]]:
    """Return the keys as the exchange reads them from a file."""
    entries: list[dict[str, Any]] = [
        {"name": exchange.ec.name, "private_key": exchange.ec.secret},
        {"name": exchange.ed.name, "private_key": exchange.ed.secret},
        {"name": exchange.legacy.name, "secret": exchange.legacy.secret},
        {
            "name": exchange.reader.name,
            "private_key": exchange.reader.secret,
            "permissions": ["read"],
        },
    ]
    spare = (*exchange.spare["ec"], *exchange.spare["ed"])
    entries += [{"name": key.name, "private_key": key.secret} for key in spare]
    return [{"account": ACCOUNT, **entry} for entry in entries]


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def wait_until(condition: Callable[[], Any]) -> Any:
    """Return the first result that is true. Fails after a while."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        if result := condition():
            return result
        time.sleep(0.05)
    pytest.fail(f"not true after {DEADLINE_SECONDS} s")


def certificate(here: Path) -> tuple[Path, Path]:
    """Write a certificate of 127.0.0.1 that is its own CA, and return it and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "simulated exchange")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate, private = here / "ca.pem", here / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.touch(mode=0o600)
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate, private
