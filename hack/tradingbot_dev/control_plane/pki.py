"""The certificates of the control plane: a CA, serving certificates, and a client certificate for
each component.

All keys are ECDSA P-256, readable by their owner only. The webhooks have another CA, which
`tradingbot certs` creates as in any cluster.
"""

import datetime as dt
import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

# Local state outlives `make down`, and nothing here rotates certificates.
LIFETIME = dt.timedelta(days=3650)
BACKDATE = dt.timedelta(minutes=5)

SERVER = "kube-apiserver"
ETCD = "etcd"
ADMIN = "admin"
CONTROLLER_MANAGER = "kube-controller-manager"
SCHEDULER = "kube-scheduler"

# Common name and organisation, which RBAC's built-in bindings refer to.
CLIENTS = {
    ADMIN: ("tradingbot-dev-admin", "system:masters"),
    CONTROLLER_MANAGER: ("system:kube-controller-manager", None),
    SCHEDULER: ("system:kube-scheduler", None),
}


@dataclass(frozen=True)
class Pki:
    """The paths of the files. `ensure` creates those that do not exist."""

    directory: Path
    addresses: tuple[str, ...] = ()
    """Addresses of the API server beside loopback."""
    clients: Mapping[str, tuple[str, str | None]] = field(default_factory=lambda: CLIENTS)

    @property
    def ca(self) -> Path:
        return self.directory / "ca.crt"

    def certificate(self, name: str) -> Path:
        return self.directory / f"{name}.crt"

    def key(self, name: str) -> Path:
        return self.directory / f"{name}.key"

    @property
    def service_account_key(self) -> Path:
        return self.directory / "service-account.key"

    @property
    def service_account_public_key(self) -> Path:
        return self.directory / "service-account.pub"

    def ensure(self, *, now: dt.datetime) -> None:
        """Create all files, once. An interrupted first call is repeated from scratch."""
        complete = self.directory / "complete"
        if complete.exists():
            return
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        authority = _Authority.make(now=now)
        _write(self.ca, authority.pem)
        loopback = [
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
            x509.DNSName("localhost"),
        ]
        in_cluster = [
            x509.DNSName(name)
            for name in ("kubernetes", "kubernetes.default", "kubernetes.default.svc")
        ]
        both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        elsewhere = [x509.IPAddress(ipaddress.ip_address(address)) for address in self.addresses]
        served = [*loopback, *elsewhere, *in_cluster]
        for name, names in ((SERVER, served), (ETCD, loopback)):
            self._issue(authority, name, name, None, names=names, usage=both)
        for name, (common_name, organisation) in self.clients.items():
            usage = [ExtendedKeyUsageOID.CLIENT_AUTH]
            self._issue(authority, name, common_name, organisation, names=[], usage=usage)
        signer = ec.generate_private_key(ec.SECP256R1())
        _write(self.service_account_key, _private_pem(signer))
        _write(self.service_account_public_key, _public_pem(signer))
        _write(complete, b"")

    def _issue(
        self,
        authority: "_Authority",
        name: str,
        common_name: str,
        organisation: str | None,
        *,
        names: list[x509.GeneralName],
        usage: list[x509.ObjectIdentifier],
    ) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
        if organisation is not None:
            subject.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation))
        builder = (
            authority.builder(x509.Name(subject), key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usage), critical=False)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        _write(self.key(name), _private_pem(key))
        _write(self.certificate(name), authority.sign(builder))


@dataclass(frozen=True)
class _Authority:
    key: ec.EllipticCurvePrivateKey
    name: x509.Name
    now: dt.datetime
    pem: bytes

    @classmethod
    def make(cls, *, now: dt.datetime) -> "_Authority":
        """Create a CA. Its key is never written: nothing is issued after the first start."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tradingbot-dev")])
        draft = cls(key, name, now, b"")
        builder = (
            draft.builder(name, key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(signs_certificates=True), critical=True)
        )
        return cls(key, name, now, draft.sign(builder))

    def builder(
        self, subject: x509.Name, public_key: ec.EllipticCurvePublicKey
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.now - BACKDATE)
            .not_valid_after(self.now + LIFETIME)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()),
                critical=False,
            )
        )

    def sign(self, builder: x509.CertificateBuilder) -> bytes:
        certificate = builder.sign(self.key, hashes.SHA256())
        return certificate.public_bytes(serialization.Encoding.PEM)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    # SEC 1 and not PKCS 8: the service account signer accepts only this PEM type.
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )


def _public_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _write(path: Path, content: bytes) -> None:
    """Write a file with mode 0600 from its first byte."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
