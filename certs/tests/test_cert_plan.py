"""What is issued, when, and what is left alone. No I/O; the clock is an argument."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from certs_in_memory import HOST, NAMES, NOW, RULES, Desk, Memory, accepted, days, words
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from tradingbot_certs.authority import (
    BACKDATE,
    CA_LIFETIME,
    SERVING_LIFETIME,
    Names,
    certificate_pem,
    issue_authority,
    issue_serving,
    issued_by,
    key_pem,
    renewal,
)
from tradingbot_certs.errors import ConflictError, ForeignCertificateError
from tradingbot_certs.plan import SETTLE
from tradingbot_certs.state import Phase, Stored

DUE = NOW + CA_LIFETIME * 2 / 3
SECOND = timedelta(seconds=1)


def started() -> Desk:
    """A desk that has made its first certificates, and a webhook server that has them."""
    desk = Desk()
    desk.check()
    desk.reload()
    return desk


def broken(desk: Desk, **fields: bytes | None) -> None:
    desk.memory.stored = replace(desk.memory.stored, **fields)


# ---- what is issued


def test_an_empty_store_gets_an_authority_and_a_certificate_that_it_signed() -> None:
    desk = Desk()
    assert words(desk.check()) == [
        ("authority issued", "there was none"),
        ("certificate issued", "there was none"),
    ]
    assert accepted(desk.serving, NOW, desk.bundle)
    assert desk.authorities.phase == Phase.NONE


def test_the_serving_certificate_carries_what_verifiers_look_at() -> None:
    certificate = started().serving
    extensions = certificate.extensions
    basic = extensions.get_extension_for_class(x509.BasicConstraints)
    assert basic.critical
    assert not basic.value.ca
    usage = extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.digital_signature
    assert not usage.value.key_cert_sign
    eku = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(eku) == [ExtendedKeyUsageOID.SERVER_AUTH]
    san = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert san.get_values_for_type(x509.DNSName) == list(NAMES.dns)
    assert san.get_values_for_type(x509.IPAddress) == list(NAMES.ip)
    assert isinstance(certificate.public_key(), ec.EllipticCurvePublicKey)
    assert isinstance(certificate.signature_hash_algorithm, hashes.SHA256)
    assert certificate.not_valid_after_utc == NOW + SERVING_LIFETIME


def test_the_authority_can_sign_certificates_and_nothing_else() -> None:
    (certificate,) = started().authorities.trusted
    basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert basic.critical
    assert basic.value.ca
    assert basic.value.path_length == 0
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.key_cert_sign
    assert not usage.digital_signature


def test_subject_and_authority_key_identifiers_chain() -> None:
    desk = started()
    (authority,) = desk.authorities.trusted
    ski = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    aki = desk.serving.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert aki.key_identifier == ski.digest


def test_certificates_are_good_for_a_verifier_whose_clock_is_a_little_behind() -> None:
    desk = started()
    assert accepted(desk.serving, NOW - timedelta(minutes=4), desk.bundle)


def test_a_certificate_ends_with_its_authority_at_the_latest() -> None:
    authority = issue_authority(NOW)
    late = issue_serving(authority=authority, names=NAMES, now=NOW + days(300)).certificate
    assert late.not_valid_after_utc == authority.certificate.not_valid_after_utc
    with pytest.raises(ValueError, match="has ended"):
        issue_serving(authority=authority, names=NAMES, now=NOW + CA_LIFETIME)


def test_names_are_sorted_into_dns_names_and_addresses_once_each() -> None:
    names = Names.parse(["A.example", "a.example", "10.0.0.1", "::1", "10.0.0.1"])
    assert str(names) == "a.example, 10.0.0.1, ::1"


# ---- renewal


def test_what_is_valid_is_left_untouched() -> None:
    desk = started()
    writes = desk.memory.writes
    assert desk.check(NOW + days(59)) == []
    assert desk.memory.writes == writes


def test_a_serving_certificate_is_renewed_after_two_thirds_of_its_life() -> None:
    desk = started()
    assert desk.check(NOW + days(60) - SECOND) == []
    assert words(desk.check(NOW + days(60))) == [
        ("certificate issued", "the old one was due 2027-01-23")
    ]
    assert desk.authorities.phase == Phase.NONE


def test_other_names_mean_another_certificate_and_the_same_authority() -> None:
    desk = started()
    desk.rules = replace(RULES, names=Names.parse(["elsewhere.example", "127.0.0.1"]))
    assert words(desk.check()) == [
        ("certificate issued", "the names became elsewhere.example, 127.0.0.1")
    ]


def test_the_order_of_names_does_not_matter() -> None:
    desk = started()
    desk.rules = replace(RULES, names=Names.parse(["::1", "127.0.0.1", HOST]))
    assert desk.check() == []


# ---- the replacement of an authority, step by step


def test_an_authority_gets_a_successor_after_two_thirds_of_its_life() -> None:
    desk = started()
    desk.check(NOW + days(59))
    (old,) = desk.authorities.trusted
    desk.check(DUE - SECOND)
    assert desk.authorities.phase == Phase.NONE
    done = words(desk.check(DUE))
    assert done[0] == ("authority issued", f"the old one was due {DUE:%Y-%m-%d}")
    assert desk.authorities.phase == Phase.SETTLING
    assert desk.authorities.signing is not None
    assert desk.authorities.signing.certificate == old


def in_phase(phase: Phase) -> Desk:
    """A desk in the midst of a replacement, whose webhook server has not moved."""
    desk = started()
    desk.check(DUE - days(1))
    desk.reload()
    desk.check(DUE)
    if phase == Phase.REPLACING:
        desk.check(DUE + SETTLE)
    assert desk.authorities.phase == phase
    return desk


def test_both_are_trusted_before_the_successor_signs() -> None:
    desk = in_phase(Phase.SETTLING)
    assert len(desk.bundle) == 2
    assert desk.check(DUE + SETTLE - SECOND) == []
    signing = desk.authorities.signing
    assert signing is not None
    assert issued_by(desk.serving, signing.certificate)
    successor = desk.authorities.successor
    assert successor is not None
    assert words(desk.check(DUE + SETTLE)) == [
        ("authority replaced", f"its successor has been trusted since {DUE:%Y-%m-%dT%H:%M:%SZ}"),
        ("certificate issued", "the authority was replaced"),
    ]
    assert issued_by(desk.serving, successor.certificate)
    assert len(desk.bundle) == 2


def test_a_renewal_that_is_due_meanwhile_is_signed_by_the_old_one() -> None:
    desk = in_phase(Phase.SETTLING)
    desk.rules = replace(RULES, names=Names.parse([HOST]))
    old = desk.authorities.signing
    assert len(desk.check(DUE + SECOND)) == 1
    assert old is not None
    assert issued_by(desk.serving, old.certificate)


def test_a_successor_that_can_not_be_injected_never_signs_and_renewals_go_on() -> None:
    desk = started()

    def refused(ca_crt: bytes) -> None:
        raise ConflictError("somebody else writes it all the time")

    desk.memory.inject = refused  # type: ignore[method-assign]
    (old,) = desk.authorities.trusted
    for day in range(243, 365, 10):
        with pytest.raises(ConflictError):
            desk.check(NOW + days(day + 0.5))
    assert issued_by(desk.serving, old)
    assert desk.authorities.phase == Phase.INTRODUCING
    assert accepted(desk.serving, desk.now, desk.bundle)


def test_a_ca_bundle_that_somebody_changed_is_given_its_time_again() -> None:
    desk = in_phase(Phase.SETTLING)
    desk.memory.bundle = certificate_pem(desk.bundle[0])
    changed = DUE + SETTLE
    assert words(desk.check(changed)) == [
        ("authority introduced again", "a caBundle was changed"),
        ("successor trusted", "every caBundle has it"),
    ]
    assert desk.check(changed + SETTLE - SECOND) == []
    desk.check(changed + SETTLE)
    assert desk.authorities.phase == Phase.REPLACING


def test_the_old_one_is_trusted_while_a_server_shows_its_certificate() -> None:
    desk = in_phase(Phase.REPLACING)
    for shown in ({"one": None}, {}):
        assert desk.check(DUE + days(30)) == []
        desk.served = shown  # not there, and none known
    assert desk.check(DUE + days(50)) == []
    assert len(desk.bundle) == 2


def test_one_server_that_has_not_moved_is_enough() -> None:
    desk = in_phase(Phase.REPLACING)
    before = desk.served or {}
    desk.served = {"one": desk.serving, "two": before["one"]}
    assert desk.check() == []


def test_the_old_one_is_dropped_when_all_have_moved_and_time_has_passed() -> None:
    desk = in_phase(Phase.REPLACING)
    desk.reload()
    moved = DUE + timedelta(hours=1)
    assert words(desk.check(moved)) == [("certificate in service", "every webhook server shows it")]
    assert desk.check(moved + SETTLE - SECOND) == []
    dropped = words(desk.check(moved + SETTLE))
    assert dropped[0][0] == "old authority dropped"
    assert desk.authorities.phase == Phase.NONE
    assert len(desk.bundle) == 1
    assert accepted(desk.serving, desk.now, desk.bundle)


def test_one_that_comes_up_with_the_old_certificate_is_waited_for() -> None:
    desk = in_phase(Phase.REPLACING)
    old = (desk.served or {})["one"]
    desk.reload()
    desk.check(DUE + days(1))
    desk.served = {"one": desk.serving, "two": old}
    assert desk.check(DUE + days(2)) == []
    assert len(desk.bundle) == 2


def test_with_nobody_to_ask_the_old_one_is_trusted_until_its_end() -> None:
    desk = in_phase(Phase.REPLACING)
    desk.served = None
    end = NOW + CA_LIFETIME + BACKDATE
    desk.check(DUE + days(61))
    desk.check(end - SECOND)
    assert len(desk.bundle) == 2
    assert words(desk.check(end)) == [
        ("authorities tidied", "1 had ended"),
        ("bundle stored", "the authorities changed"),
    ]
    assert len(desk.bundle) == 1


def test_where_nobody_injects_time_alone_counts() -> None:
    desk = Desk(injects=False)
    desk.check()
    desk.check(DUE)
    assert desk.authorities.phase == Phase.SETTLING
    desk.check(DUE + SETTLE)
    assert desk.authorities.phase == Phase.REPLACING


def test_three_years_of_daily_checks_never_leave_a_moment_without_a_trusted_certificate() -> None:
    desk = started()
    authorities = set()
    for day in range(1, 3 * 365, 3):
        before, server = desk.bundle, (desk.served or {})["one"]
        desk.check(NOW + days(day))
        assert accepted(desk.serving, desk.now, before), "an API server that has not followed"
        assert server is not None
        assert accepted(server, desk.now, desk.bundle), "a webhook server that has not followed"
        assert accepted(desk.serving, desk.now + timedelta(hours=23), desk.bundle)
        assert len(desk.bundle) <= 2
        desk.reload()
        authorities.add(desk.authorities.trusted[0].serial_number)
    assert len(authorities) == 5


# ---- what is broken


@pytest.mark.parametrize("field", ["tls_crt", "tls_key"])
@pytest.mark.parametrize("content", [None, b"", b"-----BEGIN CERTIFICATE-----\ngarbage", b"\x00"])
def test_a_broken_serving_pair_is_issued_anew_by_the_same_authority(
    field: str, content: bytes | None
) -> None:
    desk = started()
    broken(desk, **{field: content})
    assert words(desk.check()) == [
        ("certificate issued", "tls.crt or tls.key was missing or unreadable as PEM")
    ]
    assert accepted(desk.serving, NOW, desk.bundle)


def test_a_key_of_another_certificate_is_noticed() -> None:
    desk, other = started(), started()
    broken(desk, tls_key=other.memory.stored.tls_key)
    assert words(desk.check()) == [("certificate issued", "tls.key did not belong to tls.crt")]


@pytest.mark.parametrize(
    ("lost", "because"),
    [
        ({"ca_key": b"garbage"}, "ca.crt or ca.key was missing or unreadable as PEM"),
        ({"ca_key": key_pem(issue_authority(NOW).key)}, "ca.key did not belong to ca.crt"),
        ({"ca_crt": None, "ca_key": None}, "there was none"),
        (
            {"ca_crt": b"AAAA", "ca_key": None},
            "ca.crt or ca.key was missing or unreadable as PEM",
        ),
    ],
)
def test_a_lost_authority_gets_a_successor_and_stays_trusted(
    lost: dict[str, bytes | None], because: str
) -> None:
    desk = started()
    (old,) = desk.authorities.trusted
    broken(desk, **lost)
    assert words(desk.check())[0] == ("authority issued", because)
    assert desk.authorities.phase == Phase.SETTLING
    assert old in desk.bundle
    assert accepted(desk.serving, NOW, desk.bundle)
    desk.check(NOW + SETTLE)
    assert desk.authorities.phase == Phase.REPLACING
    assert accepted(desk.serving, NOW + SETTLE, desk.bundle)
    desk.reload()
    desk.check(NOW + SETTLE)
    desk.check(NOW + 2 * SETTLE)
    assert old not in desk.bundle


def test_authorities_are_restored_from_the_copy_beside_the_certificate() -> None:
    desk = started()
    before = desk.memory.stored
    broken(desk, ca_crt=b"AAAA")
    assert words(desk.check()) == [("authorities tidied", "ca.crt was lost")]
    assert desk.memory.stored == before


def test_a_certificate_signed_by_another_authority_of_ours_is_replaced() -> None:
    desk, other = started(), started()
    broken(desk, tls_crt=other.memory.stored.tls_crt, tls_key=other.memory.stored.tls_key)
    assert words(desk.check()) == [
        ("certificate issued", "no trusted authority had signed the old one")
    ]


def test_the_authority_of_the_certificate_in_service_is_never_missing() -> None:
    """Another process has lost the authorities and made new ones, and this one had signed."""
    desk, other = started(), started()
    broken(
        desk,
        tls_crt=other.memory.stored.tls_crt,
        tls_key=other.memory.stored.tls_key,
        tls_ca_crt=other.memory.stored.tls_ca_crt,
    )
    desk.served = None
    (theirs,) = other.authorities.trusted
    assert words(desk.check()) == [
        ("authorities tidied", "the one that signed the certificate in service was missing"),
        ("certificate issued", "the authority was replaced"),
    ]
    assert theirs in desk.bundle


def test_after_everything_has_ended_all_is_made_anew_at_once() -> None:
    desk = started()
    done = words(desk.check(NOW + days(400)))
    assert [what for what, _ in done] == ["authority issued", "certificate issued"]
    assert len(desk.bundle) == 1
    assert accepted(desk.serving, desk.now, desk.bundle)


def test_a_time_to_come_is_not_waited_for() -> None:
    """A clock was wrong when it was written."""
    desk = in_phase(Phase.SETTLING)
    broken(desk, since=b"2099-01-01T00:00:00+00:00")
    desk.check()
    desk.check(desk.now + SETTLE)
    assert desk.authorities.phase == Phase.REPLACING


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
        desk = Desk(memory=Memory(stored))
        with pytest.raises(
            ForeignCertificateError, match=rf"{file}\.crt in the test .*somebody else"
        ):
            desk.check()
        assert desk.memory.stored == stored
        assert desk.memory.writes == 0


def test_a_renewal_is_due_after_two_thirds() -> None:
    assert renewal(issue_authority(NOW, timedelta(days=9)).certificate) == NOW + days(6)
