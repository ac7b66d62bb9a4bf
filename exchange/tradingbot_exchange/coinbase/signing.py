"""Headers that sign a request to Coinbase, as its own client library does."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from tradingbot_exchange.coinbase.json_web_tokens import PrivateKey, encode

TOKEN_LIFETIME_S = 120


class UnusableKeyError(ValueError):
    """A secret that no request can be signed with. The message does not contain it."""


def load_private_key(secret: str) -> PrivateKey:
    """Return the key in a secret: EC P-256 in PEM form, or Ed25519 in base64 (32 or 64 bytes)."""
    if secret.lstrip().startswith("-----BEGIN"):
        try:
            key = serialization.load_pem_private_key(secret.encode(), password=None)
        except (ValueError, TypeError) as error:
            raise UnusableKeyError("the secret is not a private key in PEM form") from error
        if isinstance(key, ed25519.Ed25519PrivateKey):
            return key
        if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
            return key
        raise UnusableKeyError("the secret is neither an EC P-256 nor an Ed25519 key")
    try:
        raw = base64.b64decode("".join(secret.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise UnusableKeyError("the secret is neither in PEM form nor base64") from error
    if len(raw) not in (32, 64):
        raise UnusableKeyError(f"an Ed25519 key has 32 or 64 bytes, not {len(raw)}")
    return ed25519.Ed25519PrivateKey.from_private_bytes(raw[:32])


def bearer_token(
    key_name: str,
    key: PrivateKey,
    *,
    uri: str | None,
    now_s: int,
    nonce: str,
    lifetime_s: int = TOKEN_LIFETIME_S,
) -> str:
    """Return a token for one request, or for a WebSocket subscription if `uri` is None.

    `uri` is such as `GET api.coinbase.com/api/v3/brokerage/accounts`, without a query.
    """
    claims: dict[str, object] = {
        "sub": key_name,
        "iss": "cdp",
        "nbf": now_s,
        "exp": now_s + lifetime_s,
    }
    if uri is not None:
        claims["uri"] = uri
    return encode(claims, {"kid": key_name, "nonce": nonce}, key)


def bearer_headers(
    key_name: str, key: PrivateKey, *, method: str, host: str, path: str, now_s: int, nonce: str
) -> Mapping[str, str]:
    """Return the headers of a request that is signed with a token."""
    uri = f"{method} {host}{path}"
    token = bearer_token(key_name, key, uri=uri, now_s=now_s, nonce=nonce)
    return {"Authorization": f"Bearer {token}"}


def legacy_signature(secret: str, *, timestamp: str, method: str, path: str, body: str) -> str:
    """Return CB-ACCESS-SIGN: HMAC-SHA256 over time, method, path and body, in hexadecimal.

    `path` is without a query, except for a GET of `/v2` (`body` is then `?` and the query).
    """
    message = f"{timestamp}{method}{path}{body}".encode(errors="surrogatepass")
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()


def legacy_headers(
    key_name: str, secret: str, *, timestamp: str, method: str, path: str, body: str
) -> Mapping[str, str]:
    """Return the headers of a request that is signed the old way."""
    return {
        "CB-ACCESS-KEY": key_name,
        "CB-ACCESS-SIGN": legacy_signature(
            secret, timestamp=timestamp, method=method, path=path, body=body
        ),
        "CB-ACCESS-TIMESTAMP": timestamp,
    }
