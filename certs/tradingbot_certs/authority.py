"""Issue a certificate authority and serving certificates. Pure: the time is an argument.

Default lifetimes, and why:

- A serving certificate lives 90 days and is replaced after 60. The process that renews it may be
  down for a month before anything breaks.
- An authority lives one year, not ten, and is replaced after eight months. The renewal is
  automatic, so a longer life saves nothing, and a leaked key would be useful for longer. A rotation
  that runs every year is a rotation that works.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_LIFETIME = timedelta(days=365)
SERVING_LIFETIME = timedelta(days=90)
BACKDATE = timedelta(minutes=5)
"""Maximum difference between two clocks. A certificate is valid from this long before it is issued,
because the clock of the API server may be behind, and an authority is trusted this long after its
end.
"""

ORGANIZATION = "trading.io"
CA_COMMON_NAME = "tradingbot webhook CA"
"""Of the registry's authority too: by this name a stored one is known as this program's."""
_MAX_COMMON_NAME = 64  # RFC 5280, ub-common-name


@dataclass(frozen=True)
class Names:
    """The names that a serving certificate is valid for: DNS names and IP addresses, in order."""

    dns: tuple[str, ...]
    ip: tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, ...] = ()

    @classmethod
    def parse(cls, names: Iterable[str]) -> Names:
        """Sort names into DNS names and IP addresses, without duplicates, in the order given."""
        dns: list[str] = []
        ip: list[ipaddress.IPv4Address | ipaddress.IPv6Address] = []
        for name in names:
            try:
                address = ipaddress.ip_address(name)
            except ValueError:
                if name.lower() not in dns:
                    dns.append(name.lower())
            else:
                if address not in ip:
                    ip.append(address)
        return cls(dns=tuple(dns), ip=tuple(ip))

    def same_as(self, other: Names) -> bool:
        """Whether both have the same names, in any order."""
        return set(self.dns) == set(other.dns) and set(self.ip) == set(other.ip)

    def __str__(self) -> str:
        return ", ".join([*self.dns, *map(str, self.ip)])


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def matches(self) -> bool:
        return self.key.public_key() == self.certificate.public_key()

    @property
    def files(self) -> dict[str, bytes]:
        """The pair as PEM files for a server."""
        return {"tls.crt": certificate_pem(self.certificate), "tls.key": key_pem(self.key)}


def issue_authority(now: datetime, lifetime: timedelta = CA_LIFETIME) -> Pair:
    """Issue a self-signed authority that can sign serving certificates and nothing else."""
    key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    # The serial number in the name keeps two authorities of a bundle apart for every verifier that
    # looks an issuer up by name, and for the person who reads `openssl x509 -text`.
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANIZATION),
            x509.NameAttribute(NameOID.COMMON_NAME, CA_COMMON_NAME),
            x509.NameAttribute(NameOID.SERIAL_NUMBER, f"{serial:x}"[:16]),
        ]
    )
    ski = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now - BACKDATE)
        .not_valid_after(now + lifetime)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(sign_certificates=True), critical=True)
        .add_extension(ski, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ski), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    return Pair(certificate=certificate, key=key)


def issue_serving(
    *, authority: Pair, names: Names, now: datetime, lifetime: timedelta = SERVING_LIFETIME
) -> Pair:
    """Issue a serving certificate for `names`, signed by `authority`.

    The certificate does not outlive the authority. Raises ValueError if the authority has expired.
    """
    expiry = min(now + lifetime, authority.certificate.not_valid_after_utc)
    if expiry <= now:
        raise ValueError("the authority has expired and can't sign")
    key = ec.generate_private_key(ec.SECP256R1())
    issuer_ski = authority.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    alternatives = [x509.DNSName(name) for name in names.dns] + [
        x509.IPAddress(address) for address in names.ip
    ]
    common_name = next(
        (name for name in names.dns if len(name) <= _MAX_COMMON_NAME), "tradingbot-webhooks"
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(
            x509.Name(
                [
                    x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANIZATION),
                    x509.NameAttribute(NameOID.COMMON_NAME, common_name),
                ]
            )
        )
        .issuer_name(authority.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(expiry)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(sign_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_ski.value),
            critical=False,
        )
        .sign(authority.key, hashes.SHA256())
    )
    return Pair(certificate=certificate, key=key)


def issued_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """Whether `authority` signed `certificate`: the names match and the signature is valid."""
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def renewal(certificate: x509.Certificate) -> datetime:
    """Return when a certificate is due for renewal: after two thirds of its life."""
    begin = certificate.not_valid_before_utc + BACKDATE
    return begin + (certificate.not_valid_after_utc - begin) * 2 / 3


def is_ours(name: x509.Name) -> bool:
    """Whether a subject or issuer is an authority that this program issued."""
    return [a.value for a in name.get_attributes_for_oid(NameOID.COMMON_NAME)] == [
        CA_COMMON_NAME
    ] and [a.value for a in name.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)] == [
        ORGANIZATION
    ]


def names_of(certificate: x509.Certificate) -> Names:
    """Return the names in the subjectAltName of a certificate; none without that extension."""
    try:
        san = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return Names(dns=())
    addresses = san.get_values_for_type(x509.IPAddress)
    return Names(
        dns=tuple(san.get_values_for_type(x509.DNSName)),
        ip=tuple(
            a for a in addresses if isinstance(a, (ipaddress.IPv4Address, ipaddress.IPv6Address))
        ),
    )


def certificate_pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(c.public_bytes(serialization.Encoding.PEM) for c in certificates)


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _key_usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        content_commitment=False,
        key_encipherment=False,  # means nothing for an elliptic-curve key
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
