"""Base URLs: which hosts and ports are accepted, and what is said about the others."""

from ipaddress import IPv4Address, IPv6Address
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tradingbot_api.base_url import (
    BASE_URL_FORM,
    HOST_FORM,
    IDN_FORM,
    PORT_FORM,
    authority_problem,
    base_url_problem,
)

LABEL = "a" * 63
NAME = ".".join([LABEL] * 3 + ["b" * 61])
"""253 characters."""


@pytest.mark.parametrize(
    "authority",
    [
        "example.com",
        "EXAMPLE.com",
        "api.exchange.example.com:443",
        "api.exchange.example.com.",
        "api.exchange.example.com.:8443",
        "localhost:8080",
        "exchange",
        "exchange.trading.svc",
        "a--b.example",
        "1inch.example",
        "3.example",
        "0x7f.example",
        LABEL,
        NAME,
        f"{NAME}.",
        "xn--bcher-kva.example",
        "XN--BCHER-KVA.example",
        "1.2.3.4",
        "255.255.255.255:1",
        "[::1]",
        "[fd00::7]:65535",
        "[::ffff:1.2.3.4]",
    ],
)
def test_a_host_that_can_exist_is_accepted(authority: str) -> None:
    assert authority_problem(authority) is None


@pytest.mark.parametrize(
    "authority",
    [
        "ex..example",
        "example..",
        ".example",
        ".",
        "-ex.example",
        "ex-.example",
        "my_exchange.example",
        "_dmarc.example",
        "ex%61mple.com",
        "ex ample.com",
        "exchange\\example",
        "exchange,example",
        "*.example.com",
        "{host}.example.com",
        f"{LABEL}a.example",
        f"{NAME}c",
        "xn--.example",
        "xn--a.example",
        "xn--example-.example",
        "xn--99999999.example",
        "1.2.3.999",
        "1.2.3",
        "1.2.3.4.5",
        "1.2.3.4.",
        "01.2.3.4",
        "1.2.3.0x4",
        "256.1.1.1",
        "0x7f000001",
        "2130706433",
        "example.123",
        "::1",
        "fd00::7",
        "[::1",
        "::1]",
        "[]",
        "[::1]a",
        "[::1%25eth0]",
        "[fe80::1%eth0]",
        "[1.2.3.4]",
        "[::g]",
        "[1:2:3:4:5:6:7:8:9]",
        "[v1.abc]",
        "[example.com]",
    ],
)
def test_a_host_that_can_not_exist_is_refused(authority: str) -> None:
    assert authority_problem(authority) in {HOST_FORM, PORT_FORM}


@pytest.mark.parametrize("host", ["bücher.example", "例え.jp", "example。com", "1.2.3.\uff14"])
def test_an_international_name_has_to_be_written_in_ascii(host: str) -> None:
    assert authority_problem(host) == IDN_FORM


@pytest.mark.parametrize(
    "port", ["", "0", "00000", "65536", "99999", "123456", "-1", "+1", "8O80", "1_0", "٣", " 80"]
)
@pytest.mark.parametrize("host", ["example.com", "1.2.3.4", "[::1]"])
def test_a_port_is_from_1_to_65535(host: str, port: str) -> None:
    assert authority_problem(f"{host}:{port}") == PORT_FORM


@pytest.mark.parametrize("authority", ["", ":443"])
def test_a_url_has_a_host(authority: str) -> None:
    assert authority_problem(authority) == BASE_URL_FORM


def test_what_is_wrong_with_a_url_is_said_without_its_text() -> None:
    for url in ("https://user:pa55@ex..example", "https://pa55.ex..example", "https://x/?k=pa55"):
        problem = base_url_problem(url)
        assert problem is not None
        assert "pa55" not in problem


def test_a_path_has_no_control_characters() -> None:
    assert base_url_problem("https://example.com/api/v3") is None
    assert base_url_problem("https://example.com/\x7f") == BASE_URL_FORM


labels = st.from_regex(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True).filter(
    lambda label: not label.startswith("xn--")
)


@given(st.lists(labels, min_size=1, max_size=4).map(".".join).filter(lambda name: len(name) < 254))
def test_every_dns_name_is_accepted_and_none_with_a_doubled_dot(name: str) -> None:
    assert authority_problem(name) is None
    assert authority_problem(f"{name}..example") == HOST_FORM


@given(st.ip_addresses())
def test_every_address_is_accepted(address: IPv4Address | IPv6Address) -> None:
    bracketed = f"[{address}]" if isinstance(address, IPv6Address) else str(address)
    assert authority_problem(bracketed) is None


@given(st.text(st.characters(min_codepoint=0xA1, categories=["L"]), min_size=1, max_size=10))
def test_every_international_label_is_accepted_in_its_ascii_form(label: str) -> None:
    encoded = label.encode("punycode").decode()
    wanted = None if len(encoded) <= 59 and not encoded.startswith("-") else HOST_FORM
    assert authority_problem(f"xn--{encoded}.example") == wanted
    assert authority_problem(f"{label}.example") == IDN_FORM


@given(st.text(max_size=20) | st.from_regex(r"[-a-z0-9.:\[\]%_@]{1,20}", fullmatch=True))
def test_what_is_accepted_is_what_clients_connect_to(authority: str) -> None:
    if authority_problem(authority) is None:
        parts = urlsplit(f"https://{authority}")
        assert (parts.netloc, parts.username) == (authority, None)
        host = authority if parts.port is None else authority.rpartition(":")[0]
        assert parts.hostname == host.strip("[]").lower()
