"""What the doctor says of a certificate, at a time that the test names."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID
from issued import Issued, authority, serving
from tradingbot_cli.doctor.facts import Served, Trust, Unserved
from tradingbot_cli.doctor.findings import Finding, Status
from tradingbot_cli.doctor.judge_certificate import judge_certificates

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
HOST = "tradingbot-webhooks.tradingbot-system.svc"
YEAR_AGO = NOW - timedelta(days=100)
CA = authority("our CA", begin=YEAR_AGO)
GOOD = serving(CA, HOST, begin=NOW - timedelta(days=10))


def judged(
    *served: Issued, bundle: bytes = CA.pem, host: str = HOST, now: datetime = NOW
) -> dict[str, Finding]:
    """The findings by check, of certificates that a pod each serves."""
    found = [
        Served(f"pod {number}", (certificate.der,)) for number, certificate in enumerate(served)
    ]
    trust = Trust(host, bundle, ("tradingbot.mutate.trading.io",))
    findings = judge_certificates(found, (trust,), now=now, namespace="tradingbot-system")
    return {finding.check: finding for finding in findings}


def test_a_good_one_is_good_in_each_way() -> None:
    findings = judged(GOOD)
    assert {finding.status for finding in findings.values()} == {Status.OK}
    assert findings["certificate/life"].message == (
        "80 days left, until 2027-02-12 12:00 UTC (pod 0)"
    )
    assert findings["certificate/names"].message == f"valid for {HOST}"
    assert "has its authority, valid until 2027-08-16" in findings["certificate/authority"].message


def test_replicas_with_the_same_certificate_are_one_finding() -> None:
    findings = judged(GOOD, GOOD)
    assert len(findings) == 3
    assert "(pod 0, pod 1)" in findings["certificate/life"].message


def test_an_expired_one_is_named_so() -> None:
    old = serving(CA, HOST, begin=NOW - timedelta(days=93))
    finding = judged(old)["certificate/life"]
    assert (finding.status, finding.reason) == (Status.FAILED, "Expired")
    assert finding.message == "expired 3 days ago, 2026-11-21 12:00 UTC (pod 0)"
    assert any("describe certificate tradingbot-webhook-tls" in step for step in finding.todo)


@pytest.mark.parametrize(
    ("later", "status"),
    [
        (timedelta(days=65, hours=23), Status.OK),
        (timedelta(days=66, hours=1), Status.WARNING),  # less than 14 of its 90 days
        (timedelta(days=80), Status.FAILED),
    ],
)
def test_the_same_one_as_time_goes_by(later: timedelta, status: Status) -> None:
    assert judged(GOOD, now=NOW + later)["certificate/life"].status == status


def test_a_short_life_is_warned_of_in_its_last_quarter() -> None:
    short = serving(CA, HOST, begin=NOW, days=1)
    assert judged(short, now=NOW + timedelta(hours=17))["certificate/life"].status == Status.OK
    late = judged(short, now=NOW + timedelta(hours=19))["certificate/life"]
    assert (late.status, late.reason) == (Status.WARNING, "Expiring")
    assert late.message.startswith("5 hours left")


def test_one_that_begins_later_points_to_a_clock() -> None:
    early = serving(CA, HOST, begin=NOW + timedelta(hours=1))
    assert judged(early)["certificate/life"].reason == "NotYetValid"


def test_one_for_another_host_is_told_with_both_names() -> None:
    other = serving(CA, "webhooks.other.svc", begin=NOW)
    finding = judged(other)["certificate/names"]
    assert (finding.status, finding.reason) == (Status.FAILED, "WrongHost")
    assert finding.message == (
        f"wrong host: the API server calls {HOST}, and pod 0 serves a certificate for"
        " webhooks.other.svc"
    )
    assert any(HOST in step for step in finding.todo)


@pytest.mark.parametrize(
    ("name", "host", "covered"),
    [
        (HOST.upper(), HOST, True),
        ("*.tradingbot-system.svc", HOST, True),
        ("*.svc", HOST, False),  # a star stands for one label
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.2", "127.0.0.1", False),
        ("::1", "0:0:0:0:0:0:0:1", True),
    ],
)
def test_names_are_compared_as_tls_does(name: str, host: str, covered: bool) -> None:
    finding = judged(serving(CA, name, begin=NOW), host=host)["certificate/names"]
    assert (finding.status == Status.OK) is covered


def test_one_with_no_name_at_all_is_for_no_host() -> None:
    finding = judged(serving(CA, begin=NOW))["certificate/names"]
    assert "for no name at all" in finding.message


def test_one_for_clients_does_not_serve() -> None:
    client = serving(CA, HOST, begin=NOW, use=ExtendedKeyUsageOID.CLIENT_AUTH)
    assert judged(client)["certificate/names"].reason == "NotForServers"


def test_an_authority_outside_the_bundle_is_unknown() -> None:
    other = authority("another CA", begin=YEAR_AGO)
    finding = judged(GOOD, bundle=other.pem)["certificate/authority"]
    assert (finding.status, finding.reason) == (Status.FAILED, "UnknownAuthority")
    assert "issued by CN=our CA" in finding.message
    assert "holds CN=another CA (from 2026-08-16 12:00 UTC)" in finding.message
    assert any("cainjector" in step for step in finding.todo)


def test_an_authority_of_the_same_name_and_another_key_is_unknown_too() -> None:
    twin = authority("our CA", begin=NOW)
    assert judged(GOOD, bundle=twin.pem)["certificate/authority"].reason == "UnknownAuthority"


def test_both_authorities_of_a_rotation_are_trusted() -> None:
    new = authority("our CA", begin=NOW)
    both = new.pem + CA.pem
    late = serving(new, HOST, begin=NOW)
    assert judged(GOOD, bundle=both)["certificate/authority"].status == Status.OK
    assert judged(late, bundle=both)["certificate/authority"].status == Status.OK


def test_replicas_in_the_middle_of_a_rotation_are_judged_each() -> None:
    new = serving(authority("our CA", begin=NOW), HOST, begin=NOW)
    found = [Served("pod old", (GOOD.der,)), Served("pod new", (new.der,))]
    trust = Trust(HOST, CA.pem, ("a",))
    findings = list(judge_certificates(found, (trust,), now=NOW, namespace="n"))
    failed = [finding for finding in findings if finding.status == Status.FAILED]
    assert [finding.reason for finding in failed] == ["UnknownAuthority"]
    assert "pod new serves" in failed[0].message


@pytest.mark.parametrize("bundle", [b"", b"no PEM"])
def test_a_bundle_that_holds_nothing_is_no_bundle(bundle: bytes) -> None:
    finding = judged(GOOD, bundle=bundle)["certificate/authority"]
    assert (finding.status, finding.reason) == (Status.FAILED, "NoBundle")


def test_an_authority_that_has_ended_or_soon_will() -> None:
    short = authority("short CA", begin=NOW - timedelta(days=20), days=30)
    leaf = serving(short, HOST, begin=NOW)
    soon = judged(leaf, bundle=short.pem, now=NOW + timedelta(days=5))["certificate/authority"]
    assert (soon.status, soon.reason) == (Status.WARNING, "AuthorityExpiring")
    over = judged(leaf, bundle=short.pem, now=NOW + timedelta(days=11))["certificate/authority"]
    assert (over.status, over.reason) == (Status.FAILED, "AuthorityExpired")


def test_an_expired_authority_beside_the_right_one_does_no_harm() -> None:
    past = authority("past CA", begin=NOW - timedelta(days=800))
    assert judged(GOOD, bundle=past.pem + CA.pem)["certificate/authority"].status == Status.OK


def test_a_chain_through_an_intermediate_is_followed() -> None:
    middle = authority("middle", begin=NOW, above=CA)
    leaf = serving(middle, HOST, begin=NOW)
    trust = Trust(HOST, CA.pem, ("a",))

    def authority_of(served: Served) -> Finding:
        findings = judge_certificates([served], (trust,), now=NOW, namespace="n")
        return next(finding for finding in findings if finding.check == "certificate/authority")

    stored = Served("the Secret", (leaf.der, middle.der))
    seen_by_tls = Served("pod", (leaf.der,), frozenset({CA.pem}))
    assert authority_of(stored).status == Status.OK
    assert "through an intermediate" in authority_of(seen_by_tls).message
    assert authority_of(Served("pod", (leaf.der,))).status == Status.FAILED


def test_a_replica_that_can_not_be_asked_is_unknown_or_broken() -> None:
    def judged_unserved(broken: bool) -> Finding:
        one = Unserved("pod a", "says nothing", broken=broken)
        (finding,) = judge_certificates([one], (), now=NOW, namespace="n")
        return finding

    assert judged_unserved(broken=False).status == Status.UNKNOWN
    assert judged_unserved(broken=True).status == Status.FAILED


def test_nobody_to_ask_is_unknown() -> None:
    (finding,) = judge_certificates([], (), now=NOW, namespace="n")
    assert finding.status == Status.UNKNOWN
