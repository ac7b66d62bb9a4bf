"""JSON Web Tokens as Coinbase uses them: ES256 and EdDSA (RFC 7515, 7518, 8037), and no more.

`cryptography` has the arithmetic of both algorithms, so no further library is needed. The key
decides which algorithm is accepted, never the header of the token.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey

_COORDINATE = 32
"""Bytes of r and of s in an ES256 signature."""
_MAX_TOKEN = 8192


class MalformedTokenError(ValueError):
    """Text that is not a token. The message says why."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token that was read and not yet verified."""

    header: Mapping[str, object]
    claims: Mapping[str, object]
    signed: bytes
    signature: bytes


def algorithm(key: PrivateKey | PublicKey) -> str:
    """Return the algorithm of a key: ES256 or EdDSA."""
    if isinstance(key, ed25519.Ed25519PrivateKey | ed25519.Ed25519PublicKey):
        return "EdDSA"
    return "ES256"


def encode(claims: Mapping[str, object], header: Mapping[str, object], key: PrivateKey) -> str:
    """Sign `claims`. The algorithm in the header is the key's."""
    full = {"typ": "JWT", **header, "alg": algorithm(key)}
    signed = f"{_encode_json(full)}.{_encode_json(claims)}"
    return f"{signed}.{_encode_bytes(_sign(key, signed.encode()))}"


def decode(text: str) -> Token:
    """Read a token. Raises MalformedTokenError. It is not verified yet."""
    if len(text) > _MAX_TOKEN:
        raise MalformedTokenError(f"the token is longer than {_MAX_TOKEN} characters")
    parts = text.split(".")
    if len(parts) != 3:  # noqa: PLR2004  header, claims, signature
        raise MalformedTokenError("a token has three parts")
    header, claims = _decode_json(parts[0], "header"), _decode_json(parts[1], "claims")
    signed = f"{parts[0]}.{parts[1]}".encode()
    return Token(header, claims, signed, _decode_bytes(parts[2], "signature"))


def verified(token: Token, key: PublicKey) -> bool:
    """Whether the token's signature is by `key`, with the key's own algorithm."""
    if token.header.get("alg") != algorithm(key):
        return False
    try:
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(token.signature, token.signed)
        elif len(token.signature) == 2 * _COORDINATE:
            r = int.from_bytes(token.signature[:_COORDINATE])
            s = int.from_bytes(token.signature[_COORDINATE:])
            key.verify(encode_dss_signature(r, s), token.signed, ec.ECDSA(hashes.SHA256()))
        else:
            return False
    except InvalidSignature:
        return False
    return True


def _sign(key: PrivateKey, data: bytes) -> bytes:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(data)
    r, s = decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(_COORDINATE) + s.to_bytes(_COORDINATE)


def _encode_json(value: Mapping[str, object]) -> str:
    return _encode_bytes(json.dumps(value, separators=(",", ":")).encode())


def _encode_bytes(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode_bytes(text: str, name: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedTokenError(f"the {name} is not base64url") from error


def _decode_json(text: str, name: str) -> Mapping[str, object]:
    try:
        value = json.loads(_decode_bytes(text, name))
    except (ValueError, RecursionError) as error:
        raise MalformedTokenError(f"the {name} is not JSON") from error
    if not isinstance(value, dict):
        raise MalformedTokenError(f"the {name} is not a JSON object")
    return value
