"""How requests are framed: parameters, and who proves by what that they are theirs.

Free of I/O, so that a gateway can take a client's request apart and put another one together.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from tradingbot_exchange.binance import errors, signing
from tradingbot_exchange.binance.errors import ApiError
from tradingbot_exchange.binance.parameters import Values, sent_by_json, sent_by_rest

KEY_HEADER = "X-MBX-APIKEY"
_LONGEST_ID = 36


@dataclass(frozen=True, slots=True)
class Proof:
    """Who sends a request, and how this is proven.

    `payload` is what the signature covers, or None if it is not encoded as it must be. A request
    of a session that has logged on needs no signature.
    """

    key: str | None = None
    payload: bytes | None = b""
    signature: bytes | None = None
    session: bool = False

    @classmethod
    def of_frame(cls, parameters: Mapping[str, str]) -> "Proof":
        """Return the proof in the parameters of a frame, which have an `apiKey`."""
        signature = parameters.get("signature")
        return cls(
            parameters["apiKey"],
            signing.sorted_payload(parameters),
            None if signature is None else signature.encode(errors="surrogatepass"),
        )


def read_request(
    headers: Mapping[str, str], query: bytes, body: bytes
) -> tuple[dict[str, str], Proof]:
    """Return the parameters of a request, and what its signature covers. Raises ApiError."""
    payload, signature = signing.signed_payload(query, body)
    encoded = payload if payload.isascii() else None
    return sent_by_rest(query, body), Proof(headers.get(KEY_HEADER), encoded, signature)


def check_proof(secret: str, proof: Proof, values: Values, *, now: int) -> None:
    """Check the time window and the signature. Raises ApiError (-1102, -1021, -1022).

    `secret` belongs to the key that the proof names; `now` is in milliseconds.
    """
    if proof.signature is None and not proof.session:
        raise errors.missing("signature")
    timestamp = values.number("timestamp")
    if timestamp is None:
        raise errors.missing("timestamp")
    signing.check_time(timestamp, values.decimal("recvWindow"), now=now)
    if proof.signature is None:
        return
    payload = proof.payload
    if payload is None or not signing.verifies(secret, payload, proof.signature):
        raise errors.bad_signature()


class BadFrameError(ValueError):
    """Raised for a frame that is not a request. `identifier` is its id, if it has one."""

    def __init__(self, identifier: object, error: ApiError) -> None:
        super().__init__(str(error))
        self.identifier = identifier
        self.error = error


def read_frame(text: str) -> tuple[object, str, dict[str, str]]:
    """Return id, method without a version, and parameters of a request. Raises BadFrameError."""
    try:
        frame = json.loads(text, parse_float=str)
    except (ValueError, RecursionError) as error:
        raise BadFrameError(None, ApiError(-1135, "Invalid JSON Request")) from error
    if not isinstance(frame, dict):
        raise BadFrameError(None, ApiError(-1135, "Invalid JSON Request"))
    identifier = frame.get("id")
    if not isinstance(identifier, int | str | None) or len(str(identifier)) > _LONGEST_ID:
        raise BadFrameError(None, errors.illegal("id", "^[a-zA-Z0-9-_]{1,36}$"))
    method, parameters = frame.get("method"), frame.get("params", {})
    if not isinstance(method, str):
        raise BadFrameError(identifier, errors.missing("method"))
    if not isinstance(parameters, dict):
        raise BadFrameError(
            identifier, ApiError(-1135, "JSON sent for parameter 'params' is not valid")
        )
    try:
        sent = sent_by_json(parameters)
    except ApiError as error:
        raise BadFrameError(identifier, error) from error
    return identifier, method.removeprefix("v3/"), sent


def without_envelope(parameters: dict[str, str]) -> dict[str, str]:
    """Return the parameters of the call itself."""
    return {
        name: text
        for name, text in parameters.items()
        if name not in {"apiKey", "returnRateLimits"}
    }
