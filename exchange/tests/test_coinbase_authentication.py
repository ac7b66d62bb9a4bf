"""Signatures: each client's is accepted, and nothing else."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from coinbase_harness import EC_KEY, EC_NAME, ED_KEY, KEYS
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st
from tradingbot_exchange.coinbase.authentication import (
    SignedRequest,
    authenticate,
    check_legacy_subscription,
    check_token,
)
from tradingbot_exchange.coinbase.errors import LegacyAuthenticationError, UnauthorizedError
from tradingbot_exchange.coinbase.json_web_tokens import PrivateKey, decode, encode
from tradingbot_exchange.coinbase.signing import (
    UnusableKeyError,
    bearer_headers,
    bearer_token,
    legacy_headers,
    legacy_signature,
    load_private_key,
)

NOW = 1_800_000_000
HOST = "127.0.0.1:18803"
PATH = "/api/v3/brokerage/accounts"
URI = ("GET", HOST, PATH)


def claims(name: str = EC_NAME, **changes: Any) -> dict[str, Any]:
    """Return the claims of the exchange's own library."""
    own = {
        "sub": name,
        "iss": "cdp",
        "nbf": NOW,
        "exp": NOW + 120,
        "uri": f"GET {HOST}{PATH}",
    } | changes
    return {claim: value for claim, value in own.items() if value is not ...}


def check(
    changes: Mapping[str, Any],
    *,
    name: str = EC_NAME,
    key: PrivateKey = EC_KEY,
    header: Mapping[str, Any] | None = None,
    now: int = NOW,
) -> str:
    """Return the name of the key that a token is accepted for."""
    text = encode(claims(name, **changes), header or {"kid": name, "nonce": "n"}, key)
    return check_token(text, KEYS, now_s=now, uri=URI).name


CCXT = {"iss": "coinbase-cloud", "aud": ["retail_rest_api_proxy"], "iat": NOW}
CCXT_ED = {"aud": ["cdp_service"], "iat": NOW, "uri": ..., "uris": [f"GET {HOST}{PATH}"]}


@pytest.mark.parametrize(
    ("changes", "name", "key"),
    [
        pytest.param({}, EC_NAME, EC_KEY, id="the exchange's library with an EC key"),
        pytest.param({}, "ed", ED_KEY, id="the exchange's library with an Ed25519 key"),
        pytest.param(
            CCXT | {"uri": f"GET http://{HOST}{PATH}"}, EC_NAME, EC_KEY, id="ccxt over http"
        ),
        pytest.param(CCXT, EC_NAME, EC_KEY, id="ccxt over https"),
        pytest.param(CCXT_ED, "ed", ED_KEY, id="ccxt with an Ed25519 key"),
        pytest.param({"uri": f"GET api.coinbase.com{PATH}"}, "ed", ED_KEY, id="the real host"),
    ],
)
def test_the_token_of_each_client_is_accepted(
    changes: Mapping[str, Any], name: str, key: PrivateKey
) -> None:
    assert check(changes, name=name, key=key) == name


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"sub": "ed"}, "sub"),
        ({"iss": "me"}, "iss"),
        ({"iss": ...}, "iss"),
        ({"iss": ["cdp"]}, "iss"),
        ({"iss": {}}, "iss"),
        ({"aud": ["another"]}, "aud"),
        ({"aud": [7]}, "aud"),
        ({"nbf": ...}, "nbf and exp"),
        ({"exp": str(NOW + 120)}, "nbf and exp"),
        ({"exp": True}, "nbf and exp"),
        ({"nbf": NOW + 6, "exp": NOW + 120}, "not valid yet"),
        ({"nbf": NOW - 125, "exp": NOW - 5}, "expired"),
        ({"exp": NOW + 121}, "more than 120 s"),
        ({"uri": ...}, "another URI"),
        ({"uri": f"POST {HOST}{PATH}"}, "another URI"),
        ({"uri": f"GET {HOST}{PATH}/x"}, "another URI"),
        ({"uri": f"GET evil.example{PATH}"}, "another URI"),
        ({"uri": f"GET {HOST}{PATH}?limit=1"}, "another URI"),
        ({"uri": ..., "uris": f"GET {HOST}{PATH}"}, "another URI"),
    ],
)
def test_a_wrong_claim_is_refused_for_its_reason(changes: Mapping[str, Any], reason: str) -> None:
    with pytest.raises(UnauthorizedError, match=reason):
        check(changes)


def test_times_are_accepted_to_the_last_second_of_their_tolerance() -> None:
    assert check({"nbf": NOW + 5, "exp": NOW + 120})
    assert check({"nbf": NOW - 124, "exp": NOW - 4})


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"nonce": "n"}, "kid"),
        ({"kid": "nobody", "nonce": "n"}, "kid"),
        ({"kid": [EC_NAME], "nonce": "n"}, "kid"),
        ({"kid": EC_NAME}, "nonce"),
        ({"kid": EC_NAME, "nonce": ""}, "nonce"),
        ({"kid": "legacy", "nonce": "n"}, "signature"),
        ({"kid": "ed", "nonce": "n"}, "signature"),
    ],
)
def test_a_wrong_header_is_refused_for_its_reason(header: Mapping[str, Any], reason: str) -> None:
    with pytest.raises(UnauthorizedError, match=reason):
        check({}, header=header)


def test_a_token_of_another_key_is_refused() -> None:
    with pytest.raises(UnauthorizedError, match="signature"):
        check({}, key=ec.generate_private_key(ec.SECP256R1()))


@pytest.mark.parametrize("algorithm", ["none", "HS256", "EdDSA", ""])
def test_the_header_does_not_choose_the_algorithm(algorithm: str) -> None:
    """A token that is signed with the public key as an HMAC secret, or not at all."""
    token = decode(encode(claims(), {"kid": EC_NAME, "nonce": "n"}, EC_KEY))
    forged = dict(token.header) | {"alg": algorithm}
    text = encode(claims(), {}, EC_KEY).split(".")
    header = encode(forged, {}, EC_KEY).split(".")[1]
    for signature in (text[2], ""):
        with pytest.raises(UnauthorizedError):
            check_token(f"{header}.{text[1]}.{signature}", KEYS, now_s=NOW, uri=URI)


@given(place=st.integers(min_value=0), character=st.characters(codec="ascii"))
def test_a_token_with_one_other_character_is_refused(place: int, character: str) -> None:
    text = bearer_token(EC_NAME, EC_KEY, uri=f"GET {HOST}{PATH}", now_s=NOW, nonce="n")
    place %= len(text) - 1  # the last character has bits that mean nothing
    changed = text[:place] + character + text[place + 1 :]
    if changed != text:
        with pytest.raises(UnauthorizedError):
            check_token(changed, KEYS, now_s=NOW, uri=URI)


@given(st.text(max_size=200))
def test_any_text_is_either_refused_or_nothing(text: str) -> None:
    request = SignedRequest(method="GET", host=HOST, path=PATH, authorization=text)
    with pytest.raises(UnauthorizedError):
        authenticate(request, KEYS, now_s=NOW)


@pytest.mark.parametrize("text", ["", "Bearer", "Bearer a.b", "Basic YQ==", "Bearer e30.e30.e30"])
def test_headers_that_are_no_token_are_refused(text: str) -> None:
    request = SignedRequest(method="GET", host=HOST, path=PATH, authorization=text)
    with pytest.raises(UnauthorizedError):
        authenticate(request, KEYS, now_s=NOW)


def test_a_token_that_is_too_long_is_refused_unread() -> None:
    with pytest.raises(UnauthorizedError, match="longer than"):
        check_token("a" * 9000, KEYS, now_s=NOW, uri=URI)


def test_a_deeply_nested_token_is_refused() -> None:
    deep = encode({}, {}, EC_KEY).split(".")[2]
    nested = "[" * 3000 + "]" * 3000
    header = json.dumps({"kid": EC_NAME}).encode().hex()
    with pytest.raises(UnauthorizedError):
        check_token(f"{header}.{nested}.{deep}", KEYS, now_s=NOW, uri=URI)


def test_own_headers_are_accepted_by_the_own_check() -> None:
    headers = bearer_headers(
        "ed", ED_KEY, method="POST", host=HOST, path=PATH, now_s=NOW, nonce="n"
    )
    request = SignedRequest(
        method="POST", host=HOST, path=PATH, authorization=headers["Authorization"]
    )
    assert authenticate(request, KEYS, now_s=NOW).name == "ed"


def legacy(request: dict[str, Any], **headers: str) -> str:
    """Return the name of the key that a CB-ACCESS signature is accepted for."""
    given_headers = dict(
        legacy_headers(
            "legacy",
            "a secret",
            timestamp=str(NOW),
            method=request["method"],
            path=request["path"],
            body=request.get("signed", ""),
        )
    )
    given_headers |= {name.replace("_", "-"): value for name, value in headers.items()}
    return authenticate(
        SignedRequest(
            method=request["method"],
            host=HOST,
            path=request["path"],
            query=request.get("query", ""),
            body=request.get("body", ""),
            legacy=given_headers,
        ),
        KEYS,
        now_s=NOW,
    ).name


@pytest.mark.parametrize(
    "request_",
    [
        {"method": "GET", "path": PATH, "query": "limit=1"},
        {"method": "GET", "path": "/v2/accounts", "query": "limit=1", "signed": "?limit=1"},
        {"method": "GET", "path": PATH, "body": "{}"},
        {"method": "POST", "path": PATH, "body": '{"a": 1}', "signed": '{"a": 1}'},
    ],
)
def test_the_old_signature_covers_what_ccxt_signs(request_: dict[str, Any]) -> None:
    assert legacy(request_) == "legacy"


@pytest.mark.parametrize(
    ("request_", "headers", "reason"),
    [
        ({"method": "POST", "path": PATH, "body": "{}"}, {}, "invalid signature"),
        ({"method": "GET", "path": "/v2/accounts", "query": "a=1"}, {}, "invalid signature"),
        ({"method": "GET", "path": PATH}, {"CB_ACCESS_KEY": "nobody"}, "invalid api key"),
        ({"method": "GET", "path": PATH}, {"CB_ACCESS_KEY": "ed"}, "invalid api key"),
        ({"method": "GET", "path": PATH}, {"CB_ACCESS_SIGN": "é"}, "invalid signature"),
        ({"method": "GET", "path": PATH}, {"CB_ACCESS_SIGN": "\udce9"}, "invalid signature"),
        ({"method": "GET", "path": PATH}, {"CB_ACCESS_TIMESTAMP": str(NOW - 31)}, "expired"),
        ({"method": "GET", "path": PATH}, {"CB_ACCESS_TIMESTAMP": str(NOW + 31)}, "expired"),
        ({"method": "GET", "path": PATH}, {"CB_ACCESS_TIMESTAMP": "9" * 5000}, "expired"),
        ({"method": "GET", "path": PATH}, {"CB_ACCESS_TIMESTAMP": "²"}, "expired"),
    ],
)
def test_a_wrong_old_signature_is_refused_with_its_reason(
    request_: dict[str, Any], headers: Mapping[str, str], reason: str
) -> None:
    with pytest.raises(LegacyAuthenticationError, match=reason):
        legacy(request_, **headers)


def test_a_request_without_any_signature_is_refused() -> None:
    with pytest.raises(UnauthorizedError, match="not signed"):
        authenticate(SignedRequest(method="GET", host=HOST, path=PATH), KEYS, now_s=NOW)


def subscription(**changes: object) -> dict[str, object]:
    """Return a WebSocket message that is signed the old way."""
    signature = legacy_signature(
        "a secret", timestamp=str(NOW), method="user", path="BTC-USD,ETH-USD", body=""
    )
    return {
        "channel": "user",
        "product_ids": ["BTC-USD", "ETH-USD"],
        "api_key": "legacy",
        "timestamp": str(NOW),
        "signature": signature,
    } | changes


def test_a_subscription_that_is_signed_the_old_way_is_accepted() -> None:
    assert check_legacy_subscription(subscription(), KEYS, now_s=NOW).name == "legacy"


@pytest.mark.parametrize(
    "change",
    [
        {"api_key": None},
        {"api_key": "ed"},
        {"timestamp": NOW},
        {"timestamp": str(NOW - 31)},
        {"signature": "0"},
        {"signature": None},
        {"product_ids": ["ETH-USD"]},
        {"product_ids": "BTC-USD,ETH-USD"},
        {"channel": "level2"},
    ],
)
def test_a_changed_subscription_is_refused(change: Mapping[str, object]) -> None:
    with pytest.raises(UnauthorizedError):
        check_legacy_subscription(subscription(**change), KEYS, now_s=NOW)


def pem(key: Any) -> str:
    """Return a private key in PEM form."""
    return str(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode()
    )


@pytest.mark.parametrize(
    "secret",
    [
        "not base64!",
        "c2hvcnQ=",
        "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n",
        pem(ec.generate_private_key(ec.SECP384R1())),
        pem(rsa.generate_private_key(65537, 2048)),
    ],
)
def test_an_unusable_secret_is_refused_without_being_shown(secret: str) -> None:
    with pytest.raises(UnusableKeyError) as caught:
        load_private_key(secret)
    assert secret not in str(caught.value)


def test_keys_are_read_in_each_form() -> None:
    assert isinstance(load_private_key(pem(EC_KEY)), ec.EllipticCurvePrivateKey)
    assert load_private_key(pem(ED_KEY)).public_key() == ED_KEY.public_key()
    for raw in ("QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=", "QUFB" * 21 + "QQ=="):
        assert load_private_key(f"{raw}\n")
