"""What the bot gets: a certificate authority and a key of its own.

Coinbase's clients want TLS and a well-formed private key. The gateway keeps the authority's key
nowhere. The bot's key opens nothing but this gateway.

A bot reads the files when it starts. If a gateway restarts alone, in the pod of a bot that goes on,
its bot must still reach it, or could not sell. So what was made is kept beside the ledger, if there
is one, and handed over again; a start without it makes everything again.
"""

import datetime as dt
import ipaddress
import json
import logging
import os
import re
import secrets
import ssl
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from tradingbot_api.gateway_pod import BUNDLE_FILE, CA_FILE, KEY_FILE, SECRET_FILE

from tradingbot_gateway.errors import SettingError, StateFileError

log = logging.getLogger(__name__)

_DAYS = 3650
_KEPT_DAYS = 3285
"""After this time, a start makes everything again: a bot would soon refuse the certificate."""
_EARLY = dt.timedelta(days=1)
"""How much earlier than now a certificate is valid: clocks differ, and may be set back."""
_HASHED = re.compile(r"[0-9a-f]{8}\.[0-9]+")
"""Names of certificates in a directory of authorities, as OpenSSL looks for them."""
_NAMES = ("localhost",)
_ADDRESSES = ("127.0.0.1", "::1")
_PEM = serialization.Encoding.PEM


@dataclass(frozen=True, slots=True)
class Handover:
    """What was made. `public_key` (PEM) verifies what the bot signs."""

    key_name: str
    public_key: str
    tls: ssl.SSLContext = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """What one start has made. `chain` has the certificate and its key; texts are PEM."""

    host: str
    time: float
    authority: str
    chain: str = field(repr=False)
    key_name: str
    secret: str = field(repr=False)

    def handover(self) -> Handover:
        """Return what the gateway needs of it. Raises ValueError, ssl.SSLError."""
        key = serialization.load_pem_private_key(self.secret.encode(), None)
        public = key.public_key().public_bytes(
            _PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return Handover(self.key_name, public.decode(), _context(self.chain.encode()))


def hand_over(
    directory: Path, host: str, *, now: dt.datetime, kept: Path | None = None
) -> Handover:
    """Write what the bot needs to `directory`: an authority and a key, made here or before.

    `host`: the address that the gateway listens on for the bot, beside those of loopback. `kept`: a
    file with what an earlier start has made. Raises SettingError if the directory can't be written,
    StateFileError if the file can't.
    """
    made = None if kept is None else _kept(kept, host, now)
    if made is None:
        made = _make(host, now)
        if kept is not None:
            _keep(kept, made)
    handover = made.handover()
    bundle = "".join((*_public_authorities(), made.authority))
    for file, content in (
        (CA_FILE, made.authority),
        (BUNDLE_FILE, bundle),
        (KEY_FILE, made.key_name),
        (SECRET_FILE, made.secret),
    ):
        _write(directory / file, content.encode())
    return handover


def _make(host: str, now: dt.datetime) -> _Made:
    authority, certificate, private = _certificates(host, now)
    key = ec.generate_private_key(ec.SECP256R1())
    secret = key.private_bytes(
        _PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    return _Made(
        host=host,
        time=now.timestamp(),
        authority=authority.decode(),
        chain=(certificate + private).decode(),
        key_name=f"organizations/tradingbot-gateway/apiKeys/{secrets.token_hex(8)}",
        secret=secret.decode(),
    )


def _kept(path: Path, host: str, now: dt.datetime) -> _Made | None:
    """Return what an earlier start has made, None if there is nothing that can be used."""
    try:
        made = _Made(**json.loads(path.read_bytes()))
        made.handover()
        age = dt.timedelta(seconds=now.timestamp() - made.time)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, ssl.SSLError) as error:
        log.warning("what was handed over before can't be used: %s", type(error).__name__)
        return None
    usable = made.host == host and -_EARLY < age < dt.timedelta(days=_KEPT_DAYS)
    return made if usable else None


def _keep(path: Path, made: _Made) -> None:
    try:
        _replace(path, json.dumps(asdict(made)).encode(), mode=0o600)
    except OSError as error:
        raise StateFileError(f"cannot write {path}: {error.strerror or error}") from error


def _public_authorities() -> list[str]:
    """Return the authorities that this machine trusts: a bot has other addresses to reach, too."""
    found = ssl.create_default_context().get_ca_certs(binary_form=True)
    if found:
        return [ssl.DER_cert_to_PEM_cert(each) for each in found]
    directory = ssl.get_default_verify_paths().capath  # OpenSSL reads it when it needs one
    files = sorted(Path(directory).iterdir()) if directory else []
    return [each.read_text() for each in files if _HASHED.fullmatch(each.name)]


def _certificates(host: str, now: dt.datetime) -> tuple[bytes, bytes, bytes]:
    """Return the authority, the certificate that it has signed, and the certificate's key."""
    authority_key = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tradingbot gateway authority")])
    authority = (
        _builder(issuer, issuer, authority_key.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=False,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=True,
                crl_sign=True,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key()), critical=False
        )
        .sign(authority_key, hashes.SHA256())
    )
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tradingbot gateway")])
    certificate = (
        _builder(subject, issuer, key.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(_alternatives(host)), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()),
            critical=False,
        )
        .sign(authority_key, hashes.SHA256())
    )
    private = key.private_bytes(
        _PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return authority.public_bytes(_PEM), certificate.public_bytes(_PEM), private


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: dt.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLY)
        .not_valid_after(now + dt.timedelta(days=_DAYS))
    )


def _alternatives(host: str) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = [x509.DNSName(name) for name in _NAMES]
    addresses = list(map(ipaddress.ip_address, _ADDRESSES))
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        if host not in _NAMES:
            names.append(x509.DNSName(host))
    else:
        if address not in addresses and not address.is_unspecified:
            addresses.append(address)
    return names + [x509.IPAddress(each) for each in addresses]


def _context(chain: bytes) -> ssl.SSLContext:
    """Return the server's context. OpenSSL reads keys from files alone: it is gone at once."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    with tempfile.NamedTemporaryFile() as file:  # mode 0600
        file.write(chain)
        file.flush()
        context.load_cert_chain(file.name)
    return context


def _write(path: Path, content: bytes) -> None:
    """Replace a file at once. The other containers of the pod read it as other users."""
    try:
        _replace(path, content, mode=0o644)
    except OSError as error:
        raise SettingError(
            f"--handover {path.parent}: cannot write {path.name}: {error.strerror or error}"
        ) from error


def _replace(path: Path, content: bytes, *, mode: int) -> None:
    following = path.with_name(path.name + ".next")
    descriptor = os.open(following, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with open(descriptor, "wb") as file:  # noqa: PTH123 - of a descriptor
        file.write(content)
    following.replace(path)
