"""Signatures and time windows of Binance's SIGNED requests.

A signature covers the raw query and the raw body, concatenated without a separator and without the
signature itself; over the WebSocket API it covers the parameters sorted by name. It is hex
HMAC-SHA256 (in any case), or base64 Ed25519 or RSA PKCS#1 v1.5 with SHA-256. This module is free of
I/O, so a gateway can check one signature and make another one with it.
"""

import base64
import binascii
import hmac
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from tradingbot_exchange.binance import errors

DEFAULT_WINDOW = Decimal(5000)
"""recvWindow of a request that has none, in milliseconds."""

MAX_WINDOW = 60_000
"""The longest recvWindow, in milliseconds."""

_MICROSECONDS_FROM = 10**14
"""Timestamps from here on are microseconds: in milliseconds it is the year 5138."""

_SIGNATURE = b"signature="


class UnusableKeyError(ValueError):
    """Raised for a PEM that is neither an Ed25519 nor an RSA key of the expected half."""


def signed_payload(query: bytes, body: bytes) -> tuple[bytes, bytes | None]:
    """Return what a REST request signs, and its signature (percent-encoded as sent), if any."""
    rest_of_query, in_query = _cut_signature(query)
    rest_of_body, in_body = _cut_signature(body)
    return rest_of_query + rest_of_body, in_query if in_query is not None else in_body


def _cut_signature(encoded: bytes) -> tuple[bytes, bytes | None]:
    if not encoded.startswith(_SIGNATURE):
        at = encoded.find(b"&" + _SIGNATURE)
        if at < 0:
            return encoded, None
        before, after = encoded[:at], encoded[at + 1 + len(_SIGNATURE) :]
    else:
        before, after = b"", encoded[len(_SIGNATURE) :]
    value, ampersand, rest = after.partition(b"&")
    if not before:
        return rest, value
    return before + ampersand + rest, value


def sorted_payload(parameters: Mapping[str, str]) -> bytes:
    """Return what a request of the WebSocket API signs: its parameters by name, not encoded."""
    return "&".join(
        f"{name}={parameters[name]}" for name in sorted(parameters) if name != "signature"
    ).encode()


def is_public_key(secret: str) -> bool:
    """Whether the secret of an API key verifies only: an Ed25519 or RSA public key in PEM."""
    return "PUBLIC KEY" in secret


def is_ed25519(secret: str) -> bool:
    """Whether the secret of an API key is an Ed25519 public key."""
    return is_public_key(secret) and isinstance(_public_key(secret), Ed25519PublicKey)


def sign(secret: str, payload: bytes) -> str:
    """Return the signature, not percent-encoded.

    `secret` is an HMAC secret, or the PEM of a private key. Raises UnusableKeyError.
    """
    if "PRIVATE KEY" not in secret:
        return hmac.digest(secret.encode(), payload, "sha256").hex()
    key = _private_key(secret)
    if isinstance(key, Ed25519PrivateKey):
        signature = key.sign(payload)
    else:
        signature = key.sign(payload, padding.PKCS1v15(), SHA256())
    return base64.b64encode(signature).decode()


def verifies(secret: str, payload: bytes, signature: bytes) -> bool:
    """Whether the signature (percent-encoded or not) is that of the payload."""
    if not is_public_key(secret):
        expected = hmac.digest(secret.encode(), payload, "sha256").hex().encode()
        return hmac.compare_digest(expected, signature.lower())
    try:
        raw = base64.b64decode(unquote_to_bytes(signature), validate=True)
    except binascii.Error:
        return False
    key = _public_key(secret)
    try:
        if isinstance(key, Ed25519PublicKey):
            key.verify(raw, payload)
        else:
            key.verify(raw, payload, padding.PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    return True


@lru_cache(maxsize=64)
def _public_key(pem: str) -> Ed25519PublicKey | RSAPublicKey:
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UnusableKeyError("the API key's secret is not a public key in PEM") from error
    if not isinstance(key, Ed25519PublicKey | RSAPublicKey):
        raise UnusableKeyError("Binance's API keys are HMAC, Ed25519 or RSA; use one of these")
    return key


@lru_cache(maxsize=64)
def _private_key(pem: str) -> Ed25519PrivateKey | RSAPrivateKey:
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UnusableKeyError("the secret is not an unencrypted private key in PEM") from error
    if not isinstance(key, Ed25519PrivateKey | RSAPrivateKey):
        raise UnusableKeyError("Binance's API keys are HMAC, Ed25519 or RSA; use one of these")
    return key


def milliseconds(timestamp: int) -> int:
    """Return a timestamp in milliseconds or microseconds as milliseconds."""
    return timestamp // 1000 if timestamp >= _MICROSECONDS_FROM else timestamp


def check_time(timestamp: int, window: Decimal | None, *, now: int) -> None:
    """Raise ApiError unless `timestamp` is inside its window, as Binance documents it.

    `timestamp` is in milliseconds or microseconds, `window` and `now` are in milliseconds.
    """
    if window is None:
        window = DEFAULT_WINDOW
    elif window > MAX_WINDOW:
        raise errors.too_great("recvWindow", MAX_WINDOW)
    sent = timestamp if timestamp >= _MICROSECONDS_FROM else timestamp * 1000
    clock = now * 1000
    if sent >= clock + 1_000_000:
        raise errors.too_early()
    if clock - sent > int(window * 1000):
        raise errors.too_late()
