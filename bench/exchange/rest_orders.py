"""Signed requests of a bot, as bytes: what it quotes, cancels and takes."""

import hashlib
import hmac
from collections.abc import Iterator
from decimal import Decimal
from random import Random

from bench.common.simulated_binance import KEY, SECRET

_RECEIVE_WINDOW = 60_000


def requests(count: int, *, price: Decimal, now: int, name: str, random: Random) -> Iterator[bytes]:
    """Yield requests in the engine's mix: of ten, four quote, four cancel a quote, two take.

    `price` is the market's, `now` its time in milliseconds. Client ids begin with `name`.
    """
    quotes: list[str] = []
    for number in range(count):
        kind = number % 10
        side = random.choice(("BUY", "SELL"))
        common = f"timestamp={now}&recvWindow={_RECEIVE_WINDOW}&symbol=BTCUSDT"
        if kind in {0, 2, 5, 7}:
            quotes.append(f"{name}-{number}")
            away = Decimal(random.randint(2_000, 3_000)) / 100_000
            at = (price * (1 - away if side == "BUY" else 1 + away)).quantize(Decimal("0.01"))
            yield _post(
                f"{common}&side={side}&type=LIMIT&timeInForce=GTC&quantity=0.01000"
                f"&price={at}&newClientOrderId={quotes[-1]}"
            )
        elif kind in {4, 9}:
            yield _post(f"{common}&side={side}&type=MARKET&quantity=0.00100")
        else:
            yield _delete(f"{common}&origClientOrderId={quotes.pop(0)}")


def _post(parameters: str) -> bytes:
    body = _signed(parameters)
    return (
        "POST /api/v3/order HTTP/1.1\r\nHost: localhost\r\n"
        f"X-MBX-APIKEY: {KEY}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def _delete(parameters: str) -> bytes:
    return (
        f"DELETE /api/v3/order?{_signed(parameters)} HTTP/1.1\r\nHost: localhost\r\n"
        f"X-MBX-APIKEY: {KEY}\r\n\r\n"
    ).encode()


def _signed(parameters: str) -> str:
    signature = hmac.new(SECRET.encode(), parameters.encode(), hashlib.sha256).hexdigest()
    return f"{parameters}&signature={signature}"
