"""Whether a request comes from the gateway's own bot: its placeholder key and signature."""

from collections.abc import Mapping

from tradingbot_exchange.binance import errors, signing
from tradingbot_exchange.binance.call_parameters import SIGNED
from tradingbot_exchange.binance.calls import Security
from tradingbot_exchange.binance.errors import ApiError
from tradingbot_exchange.binance.framing import Proof, check_proof
from tradingbot_exchange.binance.parameters import Schema, Values

from tradingbot_gateway.answers import ServerClock
from tradingbot_gateway.credentials import Credentials

_ENVELOPE = Schema(SIGNED)
_NAMES = frozenset(each.name for each in SIGNED)


class Gatekeeper:
    """Checks requests against the placeholder's key and secret."""

    def __init__(self, placeholder: Credentials, clock: ServerClock) -> None:
        self._placeholder = placeholder
        self._clock = clock

    def check(self, security: Security, proof: Proof, sent: Mapping[str, str]) -> None:
        """Raise ApiError (-2014, -2015, -1102, -1021, -1022) unless the bot has sent this."""
        if security is Security.NONE:
            return
        if not proof.key:
            raise errors.bad_key_format()
        if proof.key != self._placeholder.key:
            raise errors.rejected_key()
        if security.signed:
            self.check_signature(proof, sent)

    def check_signature(self, proof: Proof, sent: Mapping[str, str]) -> None:
        """Raise ApiError (-1102, -1021, -1022) unless time and signature are right.

        A bot may have set its clock by the machine or by the exchange: both count.
        """
        if proof.session and proof.signature is None:
            return
        values = _ENVELOPE.read({name: sent[name] for name in _NAMES if name in sent})
        wall = self._clock.wall()
        now = wall if _in_time(values, wall) else self._clock.now()
        check_proof(self._placeholder.secret, proof, values, now=now)


def _in_time(values: Values, now: int) -> bool:
    timestamp = values.number("timestamp")
    if timestamp is None:
        return False
    try:
        signing.check_time(timestamp, values.decimal("recvWindow"), now=now)
    except ApiError:
        return False
    return True


def without_proof(sent: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters of the call itself, and the time window that the bot has asked for."""
    return {name: text for name, text in sent.items() if name not in {"signature", "timestamp"}}
