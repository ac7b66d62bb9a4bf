"""Who signed a request: the checks behind 401 Unauthorized.

Accepted are the tokens of Coinbase's own library and of ccxt, which differ in issuer, audience and
the claim of the URI, and the old CB-ACCESS headers.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from tradingbot_exchange.coinbase.errors import LegacyAuthenticationError, UnauthorizedError
from tradingbot_exchange.coinbase.json_web_tokens import (
    MalformedTokenError,
    PublicKey,
    Token,
    decode,
    verified,
)
from tradingbot_exchange.coinbase.signing import legacy_signature
from tradingbot_exchange.venue import ApiKey

CLOCK_TOLERANCE_S = 5
"""How far ahead a client's clock may be, and how long after its end a token is accepted."""
MAX_LIFETIME_S = 120
LEGACY_WINDOW_S = 30
"""How far CB-ACCESS-TIMESTAMP may be from the exchange's time."""

PRODUCTION_HOST = "api.coinbase.com"
_ISSUERS = frozenset({"cdp", "coinbase-cloud"})
_AUDIENCES = frozenset({"retail_rest_api_proxy", "cdp_service"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRequest:
    """What a signature covers. `path` is as it was sent, without the query."""

    method: str
    host: str
    path: str
    query: str = ""
    body: str = ""
    authorization: str | None = None
    legacy: Mapping[str, str] | None = None
    """The CB-ACCESS headers, by name in capitals."""


def authenticate(request: SignedRequest, keys: Mapping[str, ApiKey], *, now_s: int) -> ApiKey:
    """Return the key that signed a request. Raises UnauthorizedError."""
    if request.authorization is not None:
        scheme, _, text = request.authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise UnauthorizedError("the Authorization header is not a Bearer token")
        uri = (request.method, request.host, request.path)
        return check_token(text.strip(), keys, now_s=now_s, uri=uri)
    if request.legacy and "CB-ACCESS-KEY" in request.legacy:
        return _check_legacy(request, request.legacy, keys, now_s=now_s)
    raise UnauthorizedError("the request is not signed")


def check_token(
    text: str, keys: Mapping[str, ApiKey], *, now_s: int, uri: tuple[str, str, str] | None
) -> ApiKey:
    """Return the key that signed a token. Raises UnauthorizedError.

    `uri` is method, host and path of the request; None for a WebSocket, whose tokens have no URI.
    """
    try:
        token = decode(text)
    except MalformedTokenError as error:
        raise UnauthorizedError(str(error)) from error
    name = token.header.get("kid")
    key = keys.get(name) if isinstance(name, str) else None
    if key is None:
        raise UnauthorizedError("kid does not name a key")
    public_key = load_public_key(key.secret)
    if public_key is None or not verified(token, public_key):
        raise UnauthorizedError("the signature does not match")
    _check_claims(token, key, now_s)
    if uri is not None and not any(_names(claim, *uri) for claim in _uris(token)):
        raise UnauthorizedError("the token is for another URI")
    return key


def load_public_key(secret: str) -> PublicKey | None:
    """Return the public key of a key's `secret`, or None if that is an HMAC secret."""
    return _load_pem(secret) if secret.lstrip().startswith("-----BEGIN") else None


@lru_cache(maxsize=1024)
def _load_pem(secret: str) -> PublicKey | None:
    try:
        key = serialization.load_pem_public_key(secret.encode())
    except ValueError:
        return None
    return key if isinstance(key, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey) else None


def _check_claims(token: Token, key: ApiKey, now_s: int) -> None:
    claims = token.claims
    if not token.header.get("nonce") or not isinstance(token.header.get("nonce"), str):
        raise UnauthorizedError("the token has no nonce")
    if claims.get("sub") != key.name:
        raise UnauthorizedError("sub is not the name of the key")
    issuer = claims.get("iss")
    if not _is_text(issuer) or issuer not in _ISSUERS:
        raise UnauthorizedError("iss is unknown")
    audience = claims.get("aud")
    named = audience if isinstance(audience, list) else [audience]
    if audience is not None and not any(name in _AUDIENCES for name in named if _is_text(name)):
        raise UnauthorizedError("aud is unknown")
    starts, ends = claims.get("nbf"), claims.get("exp")
    if type(starts) is not int or type(ends) is not int:
        raise UnauthorizedError("nbf and exp must be whole seconds")
    if starts > now_s + CLOCK_TOLERANCE_S:
        raise UnauthorizedError("the token is not valid yet")
    if ends <= now_s - CLOCK_TOLERANCE_S:
        raise UnauthorizedError("the token has expired")
    if ends - starts > MAX_LIFETIME_S:
        raise UnauthorizedError(f"the token is valid for more than {MAX_LIFETIME_S} s")


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _uris(token: Token) -> list[str]:
    """Return the URIs that a token is for: `uri`, or ccxt's list `uris`."""
    single, several = token.claims.get("uri"), token.claims.get("uris")
    named = [single, *(several if isinstance(several, list) else [])]
    return [uri for uri in named if isinstance(uri, str)]


def _names(claim: str, method: str, host: str, path: str) -> bool:
    """Whether a claim such as `GET api.coinbase.com/v2/time` names the request.

    ccxt leaves the scheme in, unless it is https.
    """
    claimed, _, location = claim.partition(" ")
    for scheme in ("https://", "http://"):
        location = location.removeprefix(scheme)
    return claimed == method and location in (f"{host}{path}", f"{PRODUCTION_HOST}{path}")


def _check_legacy(
    request: SignedRequest, headers: Mapping[str, str], keys: Mapping[str, ApiKey], *, now_s: int
) -> ApiKey:
    key = keys.get(headers["CB-ACCESS-KEY"])
    if key is None or load_public_key(key.secret) is not None:
        raise LegacyAuthenticationError("invalid api key")
    timestamp = headers.get("CB-ACCESS-TIMESTAMP", "")
    if not _is_recent(timestamp, now_s):
        raise LegacyAuthenticationError("request timestamp expired")
    body = request.body
    if request.method == "GET":
        body = f"?{request.query}" if request.path.startswith("/v2/") and request.query else ""
    expected = legacy_signature(
        key.secret, timestamp=timestamp, method=request.method, path=request.path, body=body
    )
    if not _same(expected, headers.get("CB-ACCESS-SIGN", "")):
        raise LegacyAuthenticationError("invalid signature")
    return key


def _same(expected: str, signature: str) -> bool:
    # A header or a message may have surrogates, which no other encoding accepts.
    return hmac.compare_digest(expected.encode(), signature.encode(errors="surrogatepass"))


def _is_recent(timestamp: str, now_s: int) -> bool:
    if not timestamp.isascii() or not timestamp.isdigit() or len(timestamp) > len(str(now_s)):
        return False
    return abs(int(timestamp) - now_s) <= LEGACY_WINDOW_S


def check_legacy_subscription(
    message: Mapping[str, object], keys: Mapping[str, ApiKey], *, now_s: int
) -> ApiKey:
    """Return the key that signed a WebSocket message the old way: time, channel and products."""
    name, timestamp = message.get("api_key"), message.get("timestamp")
    key = keys.get(name) if isinstance(name, str) else None
    if key is None or not isinstance(timestamp, str) or load_public_key(key.secret) is not None:
        raise UnauthorizedError("the message is not signed")
    products = message.get("product_ids") or []
    listed = ",".join(map(str, products)) if isinstance(products, list) else ""
    expected = legacy_signature(
        key.secret, timestamp=timestamp, method=str(message.get("channel")), path=listed, body=""
    )
    if not _is_recent(timestamp, now_s):
        raise UnauthorizedError("request timestamp expired")
    if not _same(expected, str(message.get("signature"))):
        raise UnauthorizedError("invalid signature")
    return key
