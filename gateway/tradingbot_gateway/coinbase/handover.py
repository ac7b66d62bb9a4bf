"""What the bot gets: a certificate authority and a key of its own, made at each start.

Coinbase's clients want TLS and a well-formed private key. The gateway keeps the authority's key
nowhere, and its certificate's key in memory. The bot's key opens nothing but this gateway.
"""

import datetime as dt
import ipaddress
import os
import secrets
import ssl
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tradingbot_gateway.errors import SettingError

CA_FILE, KEY_FILE, SECRET_FILE = "ca.crt", "api-key", "api-secret"
_DAYS = 3650
_NAMES = ("localhost",)
_ADDRESSES = ("127.0.0.1", "::1")
_PEM = serialization.Encoding.PEM


@dataclass(frozen=True, slots=True)
class Handover:
    """What was made. `public_key` (PEM) verifies what the bot signs."""

    key_name: str
    public_key: str
    tls: ssl.SSLContext = field(repr=False)


def hand_over(directory: Path, host: str, *, now: dt.datetime) -> Handover:
    """Make an authority, a certificate and a key, and write what the bot needs to `directory`.

    `host`: the address that the gateway listens on for the bot, beside those of loopback. Raises
    SettingError if the directory can't be written.
    """
    authority, certificate, private = _certificates(host, now)
    key = ec.generate_private_key(ec.SECP256R1())
    name = f"organizations/tradingbot-gateway/apiKeys/{secrets.token_hex(8)}"
    secret = key.private_bytes(
        _PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    for file, content in ((CA_FILE, authority), (KEY_FILE, name.encode()), (SECRET_FILE, secret)):
        _write(directory / file, content)
    public = key.public_key().public_bytes(_PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return Handover(name, public.decode(), _context(certificate + private))


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
        .not_valid_before(now - dt.timedelta(days=1))
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
    following = path.with_name(path.name + ".next")
    try:
        descriptor = os.open(following, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        with open(descriptor, "wb") as file:  # noqa: PTH123 - of a descriptor
            file.write(content)
        following.replace(path)
    except OSError as error:
        raise SettingError(
            f"--handover {path.parent}: cannot write {path.name}: {error.strerror or error}"
        ) from error
