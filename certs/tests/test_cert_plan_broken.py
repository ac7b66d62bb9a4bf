"""Stored files that are broken, lost or foreign. No I/O; the clock is an argument."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from certs_in_memory import NOW, Harness, Memory, accepted, days, started, words
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tradingbot_certs.authority import (
    certificate_pem,
    issue_authority,
    key_pem,
    renewal,
)
from tradingbot_certs.errors import ForeignCertificateError
from tradingbot_certs.plan import SETTLE
from tradingbot_certs.state import Phase, Stored


def broken(harness: Harness, **fields: bytes | None) -> None:
    harness.memory.stored = replace(harness.memory.stored, **fields)


@pytest.mark.parametrize("field", ["tls_crt", "tls_key"])
@pytest.mark.parametrize("content", [None, b"", b"-----BEGIN CERTIFICATE-----\ngarbage", b"\x00"])
def test_a_broken_serving_pair_is_issued_anew_by_the_same_authority(
    field: str, content: bytes | None
) -> None:
    harness = started()
    broken(harness, **{field: content})
    assert words(harness.check()) == [
        ("certificate issued", "tls.crt or tls.key was missing or unreadable as PEM")
    ]
    assert accepted(harness.serving, NOW, harness.bundle)


def test_a_key_of_another_certificate_is_noticed() -> None:
    harness, other = started(), started()
    broken(harness, tls_key=other.memory.stored.tls_key)
    assert words(harness.check()) == [("certificate issued", "tls.key did not belong to tls.crt")]


@pytest.mark.parametrize(
    ("lost", "because"),
    [
        ({"ca_key": b"garbage"}, "ca.crt or ca.key was missing or unreadable as PEM"),
        ({"ca_key": key_pem(issue_authority(NOW).key)}, "ca.key did not belong to ca.crt"),
        ({"ca_crt": None, "ca_key": None}, "it did not exist"),
        (
            {"ca_crt": b"AAAA", "ca_key": None},
            "ca.crt or ca.key was missing or unreadable as PEM",
        ),
    ],
)
def test_a_lost_authority_gets_a_successor_and_stays_trusted(
    lost: dict[str, bytes | None], because: str
) -> None:
    harness = started()
    (old,) = harness.authorities.trusted
    broken(harness, **lost)
    assert words(harness.check())[0] == ("authority issued", because)
    assert harness.authorities.phase == Phase.SETTLING
    assert old in harness.bundle
    assert accepted(harness.serving, NOW, harness.bundle)
    harness.check(NOW + SETTLE)
    assert harness.authorities.phase == Phase.REPLACING
    assert accepted(harness.serving, NOW + SETTLE, harness.bundle)
    harness.reload()
    harness.check(NOW + SETTLE)
    harness.check(NOW + 2 * SETTLE)
    assert old not in harness.bundle


def test_authorities_are_restored_from_the_copy_beside_the_certificate() -> None:
    harness = started()
    before = harness.memory.stored
    broken(harness, ca_crt=b"AAAA")
    assert words(harness.check()) == [("authorities tidied", "ca.crt was lost")]
    assert harness.memory.stored == before


def test_a_certificate_signed_by_another_authority_of_ours_is_replaced() -> None:
    harness, other = started(), started()
    broken(harness, tls_crt=other.memory.stored.tls_crt, tls_key=other.memory.stored.tls_key)
    assert words(harness.check()) == [
        ("certificate issued", "no trusted authority had signed the old one")
    ]


def test_the_authority_of_the_certificate_in_service_is_never_missing() -> None:
    """Another process has lost the authorities and made new ones, and this one had signed."""
    harness, other = started(), started()
    broken(
        harness,
        tls_crt=other.memory.stored.tls_crt,
        tls_key=other.memory.stored.tls_key,
        tls_ca_crt=other.memory.stored.tls_ca_crt,
    )
    harness.served = None
    (theirs,) = other.authorities.trusted
    assert words(harness.check()) == [
        ("authorities tidied", "the one that signed the certificate in service was missing"),
        ("certificate issued", "the authority was replaced"),
    ]
    assert theirs in harness.bundle


def test_after_everything_has_ended_all_is_made_anew_at_once() -> None:
    harness = started()
    done = words(harness.check(NOW + days(400)))
    assert [what for what, _ in done] == ["authority issued", "certificate issued"]
    assert len(harness.bundle) == 1
    assert accepted(harness.serving, harness.now, harness.bundle)


def test_a_foreign_certificate_is_refused_and_named() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "somebody else")])
    foreign = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = certificate_pem(foreign)
    for stored, file in (
        (Stored(tls_crt=pem, tls_key=key_pem(key)), "tls"),
        (Stored(ca_crt=pem, ca_key=key_pem(key)), "ca"),
    ):
        harness = Harness(memory=Memory(stored))
        with pytest.raises(
            ForeignCertificateError, match=rf"{file}\.crt in the test .*somebody else"
        ):
            harness.check()
        assert harness.memory.stored == stored
        assert harness.memory.writes == 0


def test_a_renewal_is_due_after_two_thirds() -> None:
    assert renewal(issue_authority(NOW, timedelta(days=9)).certificate) == NOW + days(6)
