"""Signatures and time windows, without a server."""

import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from urllib.parse import quote

import pytest
from binance_harness import ED25519_PUBLIC, ED25519_SECRET
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st
from tradingbot_exchange.binance.errors import ApiError, UnusableKeyError
from tradingbot_exchange.binance.signing import (
    check_time,
    is_ed25519,
    sign,
    signed_payload,
    sorted_payload,
    verifies,
)

DOCUMENTED_SECRET = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
DOCUMENTED = (
    "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000"
    "&timestamp=1499827319559"
)
DOCUMENTED_SIGNATURE = "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"
NOW = 1_800_000_000_000


def test_the_documented_example_has_the_documented_signature() -> None:
    assert sign(DOCUMENTED_SECRET, DOCUMENTED.encode()) == DOCUMENTED_SIGNATURE


def test_a_percent_encoded_symbol_is_signed_as_it_is_sent() -> None:
    encoded = DOCUMENTED.replace("LTCBTC", quote("\uff11\uff12\uff13\uff14\uff15\uff16"))
    expected = "e1353ec6b14d888f1164ae9af8228a3dbd508bc82eb867db8ab6046442f33ef3"
    assert sign(DOCUMENTED_SECRET, encoded.encode()) == expected


def test_an_hmac_signature_may_be_in_upper_case() -> None:
    signature = DOCUMENTED_SIGNATURE.upper().encode()
    assert verifies(DOCUMENTED_SECRET, DOCUMENTED.encode(), signature)


@pytest.mark.parametrize("change", [b"x", b""])
def test_a_changed_payload_or_signature_is_refused(change: bytes) -> None:
    assert not verifies(
        DOCUMENTED_SECRET, DOCUMENTED.encode() + b"x", DOCUMENTED_SIGNATURE.encode()
    )
    assert not verifies(DOCUMENTED_SECRET, DOCUMENTED.encode(), change)


@cache
def rsa_keys() -> tuple[str, str]:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    secret = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return secret.decode(), public.decode()


@pytest.mark.parametrize("keys", [lambda: (ED25519_SECRET, ED25519_PUBLIC), rsa_keys])
def test_signatures_of_private_keys_verify_encoded_or_not(
    keys: Callable[[], tuple[str, str]],
) -> None:
    secret, public = keys()
    signature = sign(secret, b"a=1")
    assert verifies(public, b"a=1", signature.encode())
    assert verifies(public, b"a=1", quote(signature, safe="").encode())
    assert not verifies(public, b"a=2", signature.encode())
    assert not verifies(public, b"a=1", b"not base64!")


def test_only_ed25519_public_keys_count_as_ed25519() -> None:
    assert is_ed25519(ED25519_PUBLIC)
    assert not is_ed25519("an HMAC secret")
    assert not is_ed25519(rsa_keys()[1])


def test_a_secret_that_is_no_key_is_not_quoted_in_its_error() -> None:
    broken = "-----BEGIN PUBLIC KEY-----\nSECRETSECRET\n-----END PUBLIC KEY-----"
    with pytest.raises(UnusableKeyError) as raised:
        verifies(broken, b"", b"")
    assert "SECRETSECRET" not in str(raised.value)


def test_hmac_keys_need_no_library_for_others() -> None:
    code = (
        "import sys; from tradingbot_exchange.binance.signing import sign, verifies;"
        "assert verifies('a', b'b', sign('a', b'b').encode());"
        "assert 'cryptography' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


names = st.text("abcdefgh", min_size=1, max_size=5)
pairs = st.lists(st.tuples(names, names), max_size=6)


@given(query=pairs, body=pairs, place=st.integers(0, 20), in_body=st.booleans())
def test_the_payload_is_query_and_body_without_the_signature(
    query: list[tuple[str, str]], body: list[tuple[str, str]], place: int, in_body: bool
) -> None:
    def encode(parameters: list[tuple[str, str]]) -> bytes:
        return "&".join(f"{name}={value}" for name, value in parameters).encode()

    expected = encode(query) + encode(body)
    signed = body if in_body else query
    signed.insert(place % (len(signed) + 1), ("signature", "abc"))
    assert signed_payload(encode(query), encode(body)) == (expected, b"abc")


def test_a_parameter_whose_name_ends_like_the_signature_is_none() -> None:
    assert signed_payload(b"mysignature=1&a=2", b"") == (b"mysignature=1&a=2", None)


def test_parameters_of_the_websocket_api_are_signed_by_name_without_encoding() -> None:
    parameters = {"symbol": "\uff11", "apiKey": "k", "signature": "s", "quantity": "1.0"}
    assert sorted_payload(parameters) == "apiKey=k&quantity=1.0&symbol=\uff11".encode()


@pytest.mark.parametrize(
    ("timestamp", "window"),
    [
        (NOW, None),
        (NOW + 999, None),
        (NOW - 5000, None),
        (NOW - 60_000, Decimal(60_000)),
        ((NOW - 5) * 1000, Decimal(5)),
        ((NOW - 5) * 1000 - 500, Decimal("5.5")),
    ],
)
def test_a_timestamp_inside_its_window_is_accepted(timestamp: int, window: Decimal | None) -> None:
    check_time(timestamp, window, now=NOW)


@pytest.mark.parametrize(
    ("timestamp", "window", "code", "text"),
    [
        (NOW + 1000, None, -1021, "ahead of the server's time"),
        (NOW - 5001, None, -1021, "outside of the recvWindow"),
        ((NOW - 5) * 1000 - 501, Decimal("5.5"), -1021, "outside of the recvWindow"),
        (NOW - 1, Decimal(0), -1021, "outside of the recvWindow"),
        (NOW, Decimal("60000.001"), -1102, "Cannot be greater than 60000"),
    ],
)
def test_a_timestamp_outside_its_window_is_refused(
    timestamp: int, window: Decimal | None, code: int, text: str
) -> None:
    with pytest.raises(ApiError, match=text) as raised:
        check_time(timestamp, window, now=NOW)
    assert raised.value.code == code
