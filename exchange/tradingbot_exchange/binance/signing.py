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
from urllib.parse import unquote_to_bytes

from tradingbot_exchange.binance import errors

DEFAULT_WINDOW = Decimal(5000)
"""recvWindow of a request that has none, in milliseconds."""

MAX_WINDOW = 60_000
"""The longest recvWindow, in milliseconds."""

_MICROSECONDS_FROM = 10**14
"""Timestamps from here on are microseconds: in milliseconds it is the year 5138."""

_SIGNATURE = b"signature="


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
    ).encode(errors="surrogatepass")


def is_public_key(secret: str) -> bool:
    """Whether the secret of an API key verifies only: an Ed25519 or RSA public key in PEM."""
    return "PUBLIC KEY" in secret


def is_ed25519(secret: str) -> bool:
    """Whether the secret of an API key is an Ed25519 public key."""
    if not is_public_key(secret):
        return False
    from tradingbot_exchange.binance import asymmetric  # noqa: PLC0415

    return asymmetric.is_ed25519(secret)


def sign(secret: str, payload: bytes) -> str:
    """Return the signature, not percent-encoded.

    `secret` is an HMAC secret, or the PEM of a private key. Raises UnusableKeyError.
    """
    if "PRIVATE KEY" not in secret:
        return hmac.digest(secret.encode(), payload, "sha256").hex()
    from tradingbot_exchange.binance import asymmetric  # noqa: PLC0415

    return base64.b64encode(asymmetric.sign(secret, payload)).decode()


def verifies(secret: str, payload: bytes, signature: bytes) -> bool:
    """Whether the signature (percent-encoded or not) is that of the payload."""
    if not is_public_key(secret):
        expected = hmac.digest(secret.encode(), payload, "sha256").hex().encode()
        return hmac.compare_digest(expected, signature.lower())
    try:
        raw = base64.b64decode(unquote_to_bytes(signature), validate=True)
    except binascii.Error:
        return False
    from tradingbot_exchange.binance import asymmetric  # noqa: PLC0415

    return asymmetric.verifies(secret, payload, raw)


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
