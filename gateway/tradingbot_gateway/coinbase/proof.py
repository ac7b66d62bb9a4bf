"""Whether a request comes from the gateway's own bot: a token that its placeholder key signed."""

from tradingbot_exchange.coinbase.authentication import SignedRequest, authenticate, check_token
from tradingbot_exchange.coinbase.errors import UnauthorizedError
from tradingbot_exchange.venue import ApiKey

from tradingbot_gateway.answers import ServerClock
from tradingbot_gateway.coinbase.handover import Handover

_BOT = "bot"


class Gatekeeper:
    """Checks tokens against the placeholder's public key."""

    def __init__(self, handover: Handover, clock: ServerClock) -> None:
        key = ApiKey(name=handover.key_name, account=_BOT, secret=handover.public_key)
        self._keys = {key.name: key}
        self._clock = clock

    def check(self, request: SignedRequest) -> None:
        """Raise UnauthorizedError unless the bot has signed this request.

        A bot may have set its clock by the machine or by the exchange: both count.
        """
        try:
            authenticate(request, self._keys, now_s=self._clock.wall() // 1000)
        except UnauthorizedError:
            authenticate(request, self._keys, now_s=self._clock.now() // 1000)

    def check_subscription(self, token: str) -> None:
        """Raise UnauthorizedError unless the bot has signed this token for a WebSocket."""
        try:
            check_token(token, self._keys, now_s=self._clock.wall() // 1000, uri=None)
        except UnauthorizedError:
            check_token(token, self._keys, now_s=self._clock.now() // 1000, uri=None)
