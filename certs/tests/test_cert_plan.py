"""What is issued, when, and what is left alone. No I/O; the clock is an argument."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from certs_in_memory import HOST, NAMES, NOW, RULES, Harness, accepted, days, started, words
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from tradingbot_certs.authority import (
    BACKDATE,
    CA_LIFETIME,
    SERVING_LIFETIME,
    Names,
    certificate_pem,
    issue_authority,
    issue_serving,
    issued_by,
)
from tradingbot_certs.errors import ConflictError
from tradingbot_certs.plan import SETTLE
from tradingbot_certs.state import Phase

DUE = NOW + CA_LIFETIME * 2 / 3
SECOND = timedelta(seconds=1)


# ---- what is issued


def test_an_empty_store_gets_an_authority_and_a_certificate_that_it_signed() -> None:
    harness = Harness()
    assert words(harness.check()) == [
        ("authority issued", "it did not exist"),
        ("certificate issued", "it did not exist"),
    ]
    assert accepted(harness.serving, NOW, harness.bundle)
    assert harness.authorities.phase == Phase.NONE


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
    harness = started()
    (authority,) = harness.authorities.trusted
    ski = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    aki = harness.serving.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert aki.key_identifier == ski.digest


def test_certificates_are_good_for_a_verifier_whose_clock_is_a_little_behind() -> None:
    harness = started()
    assert accepted(harness.serving, NOW - timedelta(minutes=4), harness.bundle)


def test_a_certificate_ends_with_its_authority_at_the_latest() -> None:
    authority = issue_authority(NOW)
    late = issue_serving(authority=authority, names=NAMES, now=NOW + days(300)).certificate
    assert late.not_valid_after_utc == authority.certificate.not_valid_after_utc
    with pytest.raises(ValueError, match="has expired"):
        issue_serving(authority=authority, names=NAMES, now=NOW + CA_LIFETIME)


def test_names_are_sorted_into_dns_names_and_addresses_once_each() -> None:
    names = Names.parse(["A.example", "a.example", "10.0.0.1", "::1", "10.0.0.1"])
    assert str(names) == "a.example, 10.0.0.1, ::1"


# ---- renewal


def test_what_is_valid_is_left_untouched() -> None:
    harness = started()
    writes = harness.memory.writes
    assert harness.check(NOW + days(59)) == []
    assert harness.memory.writes == writes


def test_a_serving_certificate_is_renewed_after_two_thirds_of_its_life() -> None:
    harness = started()
    assert harness.check(NOW + days(60) - SECOND) == []
    assert words(harness.check(NOW + days(60))) == [
        ("certificate issued", "the old one was due 2027-01-23")
    ]
    assert harness.authorities.phase == Phase.NONE


def test_other_names_mean_another_certificate_and_the_same_authority() -> None:
    harness = started()
    harness.rules = replace(RULES, names=Names.parse(["elsewhere.example", "127.0.0.1"]))
    assert words(harness.check()) == [
        ("certificate issued", "the names are now elsewhere.example, 127.0.0.1")
    ]


def test_the_order_of_names_does_not_matter() -> None:
    harness = started()
    harness.rules = replace(RULES, names=Names.parse(["::1", "127.0.0.1", HOST]))
    assert harness.check() == []


# ---- the replacement of an authority, step by step


def test_an_authority_gets_a_successor_after_two_thirds_of_its_life() -> None:
    harness = started()
    harness.check(NOW + days(59))
    (old,) = harness.authorities.trusted
    harness.check(DUE - SECOND)
    assert harness.authorities.phase == Phase.NONE
    done = words(harness.check(DUE))
    assert done[0] == ("authority issued", f"the old one was due {DUE:%Y-%m-%d}")
    assert harness.authorities.phase == Phase.SETTLING
    assert harness.authorities.signing is not None
    assert harness.authorities.signing.certificate == old


def in_phase(phase: Phase) -> Harness:
    """A harness in the midst of a replacement, whose webhook server has not moved."""
    harness = started()
    harness.check(DUE - days(1))
    harness.reload()
    harness.check(DUE)
    if phase == Phase.REPLACING:
        harness.check(DUE + SETTLE)
    assert harness.authorities.phase == phase
    return harness


def test_both_are_trusted_before_the_successor_signs() -> None:
    harness = in_phase(Phase.SETTLING)
    assert len(harness.bundle) == 2
    assert harness.check(DUE + SETTLE - SECOND) == []
    signing = harness.authorities.signing
    assert signing is not None
    assert issued_by(harness.serving, signing.certificate)
    successor = harness.authorities.successor
    assert successor is not None
    assert words(harness.check(DUE + SETTLE)) == [
        ("authority replaced", f"its successor has been trusted since {DUE:%Y-%m-%dT%H:%M:%SZ}"),
        ("certificate issued", "the authority was replaced"),
    ]
    assert issued_by(harness.serving, successor.certificate)
    assert len(harness.bundle) == 2


def test_a_renewal_that_is_due_meanwhile_is_signed_by_the_old_one() -> None:
    harness = in_phase(Phase.SETTLING)
    harness.rules = replace(RULES, names=Names.parse([HOST]))
    old = harness.authorities.signing
    assert len(harness.check(DUE + SECOND)) == 1
    assert old is not None
    assert issued_by(harness.serving, old.certificate)


def test_a_successor_that_can_not_be_injected_never_signs_and_renewals_go_on() -> None:
    harness = started()

    def refused(ca_crt: bytes) -> None:
        raise ConflictError("somebody else writes it all the time")

    harness.memory.inject = refused  # type: ignore[method-assign]
    (old,) = harness.authorities.trusted
    for day in range(243, 365, 10):
        with pytest.raises(ConflictError):
            harness.check(NOW + days(day + 0.5))
    assert issued_by(harness.serving, old)
    assert harness.authorities.phase == Phase.INTRODUCING
    assert accepted(harness.serving, harness.now, harness.bundle)


def test_a_ca_bundle_that_somebody_changed_is_given_its_time_again() -> None:
    harness = in_phase(Phase.SETTLING)
    harness.memory.bundle = certificate_pem(harness.bundle[0])
    changed = DUE + SETTLE
    assert words(harness.check(changed)) == [
        ("authority trusted again", "a caBundle was changed"),
        ("successor trusted", "every caBundle has it"),
    ]
    assert harness.check(changed + SETTLE - SECOND) == []
    harness.check(changed + SETTLE)
    assert harness.authorities.phase == Phase.REPLACING


def test_the_old_one_is_trusted_while_a_server_shows_its_certificate() -> None:
    harness = in_phase(Phase.REPLACING)
    for shown in ({"one": None}, {}):
        assert harness.check(DUE + days(30)) == []
        harness.served = shown  # not there, and none known
    assert harness.check(DUE + days(50)) == []
    assert len(harness.bundle) == 2


def test_one_server_that_has_not_moved_is_enough() -> None:
    harness = in_phase(Phase.REPLACING)
    before = harness.served or {}
    harness.served = {"one": harness.serving, "two": before["one"]}
    assert harness.check() == []


def test_the_old_one_is_dropped_when_all_have_moved_and_time_has_passed() -> None:
    harness = in_phase(Phase.REPLACING)
    harness.reload()
    moved = DUE + timedelta(hours=1)
    assert words(harness.check(moved)) == [
        ("certificate in service", "every webhook server shows it")
    ]
    assert harness.check(moved + SETTLE - SECOND) == []
    dropped = words(harness.check(moved + SETTLE))
    assert dropped[0][0] == "old authority dropped"
    assert harness.authorities.phase == Phase.NONE
    assert len(harness.bundle) == 1
    assert accepted(harness.serving, harness.now, harness.bundle)


def test_one_that_comes_up_with_the_old_certificate_is_waited_for() -> None:
    harness = in_phase(Phase.REPLACING)
    old = (harness.served or {})["one"]
    harness.reload()
    harness.check(DUE + days(1))
    harness.served = {"one": harness.serving, "two": old}
    assert harness.check(DUE + days(2)) == []
    assert len(harness.bundle) == 2


def test_with_nobody_to_ask_the_old_one_is_trusted_until_its_end() -> None:
    harness = in_phase(Phase.REPLACING)
    harness.served = None
    end = NOW + CA_LIFETIME + BACKDATE
    harness.check(DUE + days(61))
    harness.check(end - SECOND)
    assert len(harness.bundle) == 2
    assert words(harness.check(end)) == [
        ("authorities tidied", "1 had ended"),
        ("bundle stored", "the authorities changed"),
    ]
    assert len(harness.bundle) == 1


def test_where_nobody_injects_time_alone_counts() -> None:
    harness = Harness(injects=False)
    harness.check()
    harness.check(DUE)
    assert harness.authorities.phase == Phase.SETTLING
    harness.check(DUE + SETTLE)
    assert harness.authorities.phase == Phase.REPLACING


def test_three_years_of_daily_checks_never_leave_a_moment_without_a_trusted_certificate() -> None:
    harness = started()
    authorities = set()
    for day in range(1, 3 * 365, 3):
        before, server = harness.bundle, (harness.served or {})["one"]
        harness.check(NOW + days(day))
        assert accepted(harness.serving, harness.now, before), "an API server that has not followed"
        assert server is not None
        assert accepted(server, harness.now, harness.bundle), (
            "a webhook server that has not followed"
        )
        assert accepted(harness.serving, harness.now + timedelta(hours=23), harness.bundle)
        assert len(harness.bundle) <= 2
        harness.reload()
        authorities.add(harness.authorities.trusted[0].serial_number)
    assert len(authorities) == 5


def test_a_time_to_come_is_not_waited_for() -> None:
    """A clock was wrong when it was written."""
    harness = in_phase(Phase.SETTLING)
    harness.memory.stored = replace(harness.memory.stored, since=b"2099-01-01T00:00:00+00:00")
    harness.check()
    harness.check(harness.now + SETTLE)
    assert harness.authorities.phase == Phase.REPLACING
