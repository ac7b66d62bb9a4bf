"""Ed25519 and RSA signatures. Apart, because their library takes 8 MB and HMAC keys need none."""

from functools import lru_cache

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from tradingbot_exchange.binance.errors import UnusableKeyError


def is_ed25519(pem: str) -> bool:
    """Whether a public key is one of Ed25519. Raises UnusableKeyError."""
    return isinstance(_public_key(pem), Ed25519PublicKey)


def sign(pem: str, payload: bytes) -> bytes:
    """Return the signature by a private key. Raises UnusableKeyError."""
    key = _private_key(pem)
    if isinstance(key, Ed25519PrivateKey):
        return key.sign(payload)
    return key.sign(payload, padding.PKCS1v15(), SHA256())


def verifies(pem: str, payload: bytes, signature: bytes) -> bool:
    """Whether a signature is that of the payload, by a public key. Raises UnusableKeyError."""
    key = _public_key(pem)
    try:
        if isinstance(key, Ed25519PublicKey):
            key.verify(signature, payload)
        else:
            key.verify(signature, payload, padding.PKCS1v15(), SHA256())
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
