"""What is issued, when, and what is left alone. No I/O; the clock is an argument."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import PolicyBuilder
from cryptography.x509.verification import Store as TrustStore
from tradingbot_certs.authority import (
    CA_LIFETIME,
    SERVING_LIFETIME,
    Names,
    certificate_pem,
    issue_authority,
    issue_serving,
    issued_by,
    key_pem,
)
from tradingbot_certs.errors import ForeignCertificateError
from tradingbot_certs.plan import ROTATE_AUTHORITY_BEFORE, SETTLE, Bundle, Plan, Stored, plan

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
NAMES = Names.parse(["tradingbot-webhooks.tradingbot-system.svc", "127.0.0.1", "::1"])


def decide(stored: Stored, now: datetime = NOW, names: Names = NAMES) -> Plan:
    return plan(stored, names=names, now=now, place="the test")


def stored(bundle: Bundle) -> Stored:
    return Stored(
        ca_crt=bundle.ca_crt,
        ca_key=bundle.ca_key,
        tls_crt=bundle.tls_crt,
        tls_key=bundle.tls_key,
    )


def accepted(bundle: Bundle, at: datetime, trusted: tuple[x509.Certificate, ...]) -> bool:
    """Whether a strict RFC 5280 verifier that trusts `trusted` accepts the serving certificate."""
    verifier = (
        PolicyBuilder()
        .store(TrustStore(trusted))
        .time(at)
        .build_server_verifier(x509.DNSName("tradingbot-webhooks.tradingbot-system.svc"))
    )
    try:
        verifier.verify(bundle.serving.certificate, [])
    except x509.verification.VerificationError:
        return False
    return True


def test_an_empty_store_gets_an_authority_and_a_certificate_that_it_signed() -> None:
    wanted = decide(Stored())
    assert wanted.new_authority == wanted.new_serving == "there was none"
    assert accepted(wanted.bundle, NOW, wanted.bundle.trusted)
    assert wanted.bundle.serving.matches
    assert wanted.bundle.authority.matches


def test_the_serving_certificate_carries_what_verifiers_look_at() -> None:
    certificate = decide(Stored()).bundle.serving.certificate
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
    certificate = decide(Stored()).bundle.authority.certificate
    basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert basic.critical
    assert basic.value.ca
    assert basic.value.path_length == 0
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.key_cert_sign
    assert not usage.digital_signature


def test_subject_and_authority_key_identifiers_chain() -> None:
    bundle = decide(Stored()).bundle
    ski = bundle.authority.certificate.extensions.get_extension_for_class(
        x509.SubjectKeyIdentifier
    ).value
    aki = bundle.serving.certificate.extensions.get_extension_for_class(
        x509.AuthorityKeyIdentifier
    ).value
    assert aki.key_identifier == ski.digest


def test_certificates_are_good_for_a_verifier_whose_clock_is_a_little_behind() -> None:
    bundle = decide(Stored()).bundle
    assert accepted(bundle, NOW - timedelta(minutes=4), bundle.trusted)


def test_what_is_valid_is_left_untouched() -> None:
    first = decide(Stored())
    second = decide(stored(first.bundle), NOW + timedelta(days=59))
    assert (second.new_authority, second.new_trust, second.new_serving) == (None, None, None)
    assert stored(second.bundle) == stored(first.bundle)


def test_a_serving_certificate_is_renewed_after_two_thirds_of_its_life() -> None:
    first = decide(Stored())
    before = decide(stored(first.bundle), NOW + timedelta(days=60) - timedelta(seconds=1))
    after = decide(stored(first.bundle), NOW + timedelta(days=60))
    assert before.new_serving is None
    assert after.new_serving == "the old one ends 2027-02-22"
    assert after.new_authority is None


def test_other_names_mean_another_certificate_and_the_same_authority() -> None:
    first = decide(Stored())
    second = decide(stored(first.bundle), names=Names.parse(["elsewhere.example", "127.0.0.1"]))
    assert second.new_serving == "the names became elsewhere.example, 127.0.0.1"
    assert second.new_authority is None


def test_the_order_of_names_does_not_matter() -> None:
    first = decide(Stored())
    names = Names.parse(["::1", "127.0.0.1", "tradingbot-webhooks.tradingbot-system.svc"])
    assert decide(stored(first.bundle), names=names).new_serving is None


def test_an_authority_is_replaced_before_it_could_fail_to_outlive_a_certificate() -> None:
    first = decide(Stored())
    due = NOW + CA_LIFETIME - ROTATE_AUTHORITY_BEFORE
    fresh_leaf = decide(stored(first.bundle), due - timedelta(days=1))
    rotated = decide(stored(fresh_leaf.bundle), due)
    assert fresh_leaf.new_authority is None
    assert rotated.new_authority == "the old one ends 2027-11-24"
    assert rotated.bundle.authority.certificate != first.bundle.authority.certificate


def test_during_a_rotation_every_client_accepts_every_certificate() -> None:
    """Old and new bundle, old and new certificate: only 'old bundle, new leaf' may not meet."""
    first = decide(Stored())
    due = NOW + CA_LIFETIME - ROTATE_AUTHORITY_BEFORE
    old = decide(stored(first.bundle), due - timedelta(days=1)).bundle
    both = decide(stored(old), due).bundle
    assert stored(both).tls_crt == stored(old).tls_crt, "the certificate in service stays"
    assert len(both.trusted) == 2
    assert accepted(both, due, old.trusted)
    assert accepted(both, due, both.trusted)

    settled = decide(stored(both), due + SETTLE)
    assert settled.new_serving == "the authority was rotated"
    assert settled.new_trust is None, "the bundle was published an hour ago"
    assert issued_by(settled.bundle.serving.certificate, both.authority.certificate)
    assert accepted(settled.bundle, due + SETTLE, both.trusted)
    assert accepted(old, due + SETTLE, settled.bundle.trusted), "a pod that has not reloaded yet"


def test_the_new_authority_does_not_sign_before_everybody_knows_it() -> None:
    first = decide(Stored())
    due = NOW + CA_LIFETIME - ROTATE_AUTHORITY_BEFORE
    old = decide(stored(first.bundle), due - timedelta(days=1)).bundle
    both = decide(stored(old), due).bundle
    early = decide(stored(both), due + SETTLE - timedelta(seconds=1))
    assert early.new_serving is None


def test_an_expired_authority_leaves_the_bundle() -> None:
    first = decide(Stored())
    due = NOW + CA_LIFETIME - ROTATE_AUTHORITY_BEFORE
    both = decide(stored(first.bundle), due).bundle
    later = decide(stored(both), NOW + CA_LIFETIME)
    assert later.new_trust == "1 expired authorities dropped"
    assert later.bundle.trusted == (both.authority.certificate,)


def test_ten_years_of_daily_checks_never_leave_a_moment_without_a_trusted_certificate() -> None:
    current = decide(Stored()).bundle
    previous_trust = current.trusted
    authorities = {current.authority.certificate.serial_number}
    for day in range(1, 3650):
        now = NOW + timedelta(days=day)
        wanted = decide(stored(current), now)
        current = wanted.bundle
        if not wanted.new_authority:
            # A certificate that becomes new today is trusted by yesterday's bundle already.
            assert accepted(current, now, previous_trust), now
        assert accepted(current, now + timedelta(hours=23), current.trusted), now
        assert len(current.trusted) <= 2
        previous_trust = current.trusted
        authorities.add(current.authority.certificate.serial_number)
    assert len(authorities) > 15


@pytest.mark.parametrize("field", ["tls_crt", "tls_key"])
@pytest.mark.parametrize("content", [None, b"", b"-----BEGIN CERTIFICATE-----\ngarbage", b"\x00"])
def test_a_broken_serving_pair_is_issued_anew_by_the_same_authority(
    field: str, content: bytes | None
) -> None:
    first = decide(Stored())
    broken = Stored(**{**stored(first.bundle).__dict__, field: content})
    wanted = decide(broken)
    assert wanted.new_serving == "tls.crt or tls.key was missing or unreadable as PEM"
    assert wanted.new_authority is None
    assert accepted(wanted.bundle, NOW, first.bundle.trusted)


def test_a_key_of_another_certificate_is_noticed() -> None:
    first, other = decide(Stored()), decide(Stored())
    mixed = Stored(**{**stored(first.bundle).__dict__, "tls_key": other.bundle.tls_key})
    assert decide(mixed).new_serving == "tls.key did not belong to tls.crt"


def test_a_lost_authority_key_means_a_new_authority_and_the_old_one_stays_trusted() -> None:
    first = decide(Stored())
    broken = Stored(**{**stored(first.bundle).__dict__, "ca_key": b"garbage"})
    wanted = decide(broken)
    assert wanted.new_authority == "ca.crt or ca.key was missing or unreadable as PEM"
    assert wanted.new_serving is None, "the certificate in service is still trusted"
    assert first.bundle.authority.certificate in wanted.bundle.trusted


def test_an_authority_key_of_another_authority_is_noticed() -> None:
    first, other = decide(Stored()), decide(Stored())
    mixed = Stored(**{**stored(first.bundle).__dict__, "ca_key": other.bundle.ca_key})
    assert decide(mixed).new_authority == "ca.key did not belong to ca.crt"


def test_a_certificate_signed_by_another_authority_of_ours_is_replaced() -> None:
    first, other = decide(Stored()), decide(Stored())
    mixed = Stored(
        **{
            **stored(first.bundle).__dict__,
            "tls_crt": other.bundle.tls_crt,
            "tls_key": other.bundle.tls_key,
        }
    )
    assert decide(mixed).new_serving == "no trusted authority had signed the old one"


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
    with pytest.raises(ForeignCertificateError, match=r"tls\.crt in the test .*somebody else"):
        decide(Stored(tls_crt=pem, tls_key=key_pem(key)))
    with pytest.raises(ForeignCertificateError, match=r"ca\.crt in the test .*somebody else"):
        decide(Stored(ca_crt=pem, ca_key=key_pem(key)))


def test_an_authority_never_signs_what_would_outlive_it() -> None:
    authority = issue_authority(NOW)
    with pytest.raises(ValueError, match="would end before"):
        issue_serving(authority=authority, names=NAMES, now=NOW + timedelta(days=300))


def test_names_are_sorted_into_dns_names_and_addresses_once_each() -> None:
    names = Names.parse(["A.example", "a.example", "10.0.0.1", "::1", "10.0.0.1"])
    assert str(names) == "a.example, 10.0.0.1, ::1"
