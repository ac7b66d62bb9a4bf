"""The gateway's own user data stream: what happens to the account, as it happens."""

import asyncio
import json

import aiohttp
from tradingbot_exchange.binance.signing import sign, sorted_payload

from tradingbot_gateway.account_stream import AccountStream, Follower, SubscriptionError
from tradingbot_gateway.answers import ServerClock
from tradingbot_gateway.binance.upstream import DEFAULT_WINDOW, KEY_CODES
from tradingbot_gateway.credentials import Credentials
from tradingbot_gateway.errors import KeysRefusedError

_ANSWER_SECONDS = 10.0
_OK = 200


class UserStream(AccountStream):
    """Binance's user data stream, over its WebSocket API."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        address: str,
        credentials: Credentials,
        clock: ServerClock,
    ) -> None:
        super().__init__(session, address)
        self._credentials = credentials
        self._clock = clock

    def _subscription(self) -> str:
        parameters = {
            "apiKey": self._credentials.key,
            "recvWindow": DEFAULT_WINDOW,
            "timestamp": str(self._clock.now()),
        }
        signature = sign(self._credentials.secret, sorted_payload(parameters))
        method = "userDataStream.subscribe.signature"
        request = {"id": 1, "method": method, "params": {**parameters, "signature": signature}}
        return json.dumps(request)

    async def _subscribe(self, socket: aiohttp.ClientWebSocketResponse, follower: Follower) -> None:
        # Events may come before the answer.
        await socket.send_str(self._subscription())
        async with asyncio.timeout(_ANSWER_SECONDS):
            while True:
                received = await socket.receive()
                if received.type is not aiohttp.WSMsgType.TEXT:
                    raise SubscriptionError(f"closed with code {socket.close_code}")
                message = json.loads(received.data)
                if "event" in message:
                    follower.on_event(message["event"])
                elif message.get("status") == _OK:
                    return
                else:
                    code = message.get("error", {}).get("code")
                    reason = f"the exchange refuses the stream with code {code}"
                    raise (KeysRefusedError if code in KEY_CODES else SubscriptionError)(reason)

    async def _read(self, socket: aiohttp.ClientWebSocketResponse, follower: Follower) -> None:
        async for message in socket:
            if message.type is not aiohttp.WSMsgType.TEXT:
                continue
            event = json.loads(message.data).get("event")
            if not isinstance(event, dict):
                continue
            if event.get("e") in {"eventStreamTerminated", "serverShutdown"}:
                raise SubscriptionError(f"the exchange sent {event['e']}")
            follower.on_event(event)
        raise SubscriptionError(f"closed with code {socket.close_code}")
