"""A simulated Coinbase for the clients, with and without TLS."""

import base64
import datetime as dt
import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID
from served import Served, serve

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
class Exchange(Served):
    """Where it listens, and its keys, all of one account."""

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


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    yield from started(tmp_path_factory.mktemp("exchange"))


@pytest.fixture(scope="module")
def tls_exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    here = tmp_path_factory.mktemp("tls")
    yield from started(here, tls=certificate(here))


def started(here: Path, *, tls: tuple[Path, Path] | None = None) -> Iterator[Exchange]:
    """Start an exchange, yield it, and stop it."""
    keys = {
        "ec": ec_key("ec"),
        "ed": ed25519_key("ed"),
        "legacy": Key("legacy-key", "a secret of the old kind"),
        "reader": ec_key("reader"),
    }
    spare = {
        "ec": [ec_key(f"ec{number}") for number in range(SPARE_KEYS)],
        "ed": [ed25519_key(f"ed{number}") for number in range(SPARE_KEYS)],
    }
    entries = key_entries(keys, [*spare["ec"], *spare["ed"]])
    more = [] if tls is None else ["--tls-cert", str(tls[0]), "--tls-key", str(tls[1])]
    with serve("coinbase", here, keys=entries, balances=BALANCES, more=more) as served:
        yield Exchange(
            served.port,
            served.control_port,
            **keys,
            spare=spare,
            certificate=None if tls is None else tls[0],
        )


def key_entries(keys: dict[str, Key], spare: list[Key]) -> list[dict[str, Any]]:
    """Return the keys as the exchange reads them from a file."""
    legacy, reader = keys["legacy"], keys["reader"]
    signing = [keys["ec"], keys["ed"], *spare]
    return [
        *({"name": key.name, "private_key": key.secret} for key in signing),
        {"name": legacy.name, "secret": legacy.secret},
        {"name": reader.name, "private_key": reader.secret, "permissions": ["read"]},
    ]


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
