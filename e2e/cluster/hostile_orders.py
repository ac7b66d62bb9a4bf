"""Orders of the hostile bot: beyond every limit, in every way, many at once."""

import random
import re
import threading
import time
import urllib.parse
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from itertools import count
from typing import Any

from hostile_wire import Answer, WebSocket, Wire, signed_frame

Tally = dict[str, int]
_BODY = {"Content-Type": "application/x-www-form-urlencoded"}
ENTRY = "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.5"
_NUMBERS = count()


def quantity() -> str:
    """Return a small size that was not sent before: the same entry again is a duplicate."""
    return f"0.00{100 + next(_NUMBERS) % 800:03}"


def entries(price: float) -> Iterator[dict[str, Any]]:
    """Yield ways to open a position, each of them far beyond the limits or just another part."""
    limit = {"type": "LIMIT", "timeInForce": "GTC"}
    for size in ("0.5", "1.5", "100", quantity(), quantity()):
        yield {"quantity": size}
        yield {**limit, "quantity": size, "price": f"{price:.2f}"}
        yield {**limit, "quantity": size, "price": f"{price * 1.5:.2f}"}
        yield {**limit, "quantity": size, "price": f"{price * 0.9:.2f}"}
        yield {"type": "LIMIT_MAKER", "quantity": size, "price": f"{price * 0.95:.2f}"}
        stop = {"stopPrice": f"{price * 1.01:.2f}", "quantity": size}
        yield {**limit, **stop, "type": "STOP_LOSS_LIMIT", "price": f"{price * 1.02:.2f}"}
        yield {**stop, "type": "STOP_LOSS"}
    yield {"quantity": None, "quoteOrderQty": "50000"}
    for symbol in ("ETHUSDT", "ETHBTC"):
        yield {"symbol": symbol, "quantity": "0.5"}
    # More than is held: to go short.
    yield {"side": "SELL", "quantity": "2"}


def flood(wires: list[Wire], price: float, *, seconds: float) -> Tally:
    """Send entries on many connections at once, over REST and the WebSocket API."""

    def over_rest(wire: Wire) -> Iterator[Answer]:
        for terms in entries(price):
            yield wire.order(**terms)
        over = {"cancelReplaceMode": "ALLOW_FAILURE", "cancelOrderId": 1, "quantity": "0.5"}
        base = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET"}
        yield wire.call("POST", "/api/v3/order/cancelReplace", **base, **over)

    def over_websocket(wire: Wire) -> Iterator[Answer]:
        with wire.websocket() as socket:
            for terms in entries(price):
                values = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET"} | terms
                sent = {name: value for name, value in values.items() if value is not None}
                yield socket.ask("order.place", signed_frame(wire, **sent))

    ways: list[Callable[[Wire], Iterator[Answer]]] = [over_rest, over_rest, over_websocket]
    return _at_once(
        [(ways[number % len(ways)], wire) for number, wire in enumerate(wires)], seconds=seconds
    )


def split(wires: list[Wire], *, seconds: float) -> Tally:
    """Send the position that is not allowed in many small parts, at the same moment."""

    def parts(wire: Wire) -> Iterator[Answer]:
        yield wire.order(quantity=quantity())

    return _at_once([(parts, wire) for wire in wires], seconds=seconds)


def _at_once(
    work: list[tuple[Callable[[Wire], Iterator[Answer]], Wire]], *, seconds: float
) -> Tally:
    until, tally = time.monotonic() + seconds, Counter[str]()

    def run(way: Callable[[Wire], Iterator[Answer]], wire: Wire) -> None:
        while time.monotonic() < until:
            with suppress(OSError):
                for answer in way(wire):
                    tally[answer.word] += 1
                    if time.monotonic() > until:
                        return

    threads = [threading.Thread(target=run, args=each) for each in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return dict(tally)


def cancel_protection(wire: Wire, *, seconds: float) -> dict[str, Any]:
    """Cancel what the gateway has placed, by every id that can be guessed."""
    wire.order(quantity=quantity())
    last = (wire.order(quantity=quantity()).json() or {}).get("orderId", 1000)
    until, tally, canceled = time.monotonic() + seconds, Counter[str](), set[str]()
    guesses: list[dict[str, Any]] = [{"path": "openOrders"}]
    guesses += [{"path": "order", "orderId": last + number} for number in range(12)]
    guesses += [{"path": "orderList", "orderListId": number} for number in range(12)]
    while time.monotonic() < until:
        for guess in guesses:
            named = {name: value for name, value in guess.items() if name != "path"}
            answer = wire.call("DELETE", f"/api/v3/{guess['path']}", symbol="BTCUSDT", **named)
            tally[answer.word] += 1
            canceled.update(re.findall(r'"origClientOrderId":"([^"]*)"', answer.body.decode()))
    return {"tally": dict(tally), "canceled": sorted(canceled)}


def unknown_calls(wire: Wire) -> Tally:
    """Ask for what no bot needs: withdrawals, margin, other exchanges, other spellings."""
    order = f"/api/v3/order?{wire.signed(_pairs(ENTRY))}"
    targets = [
        ("POST", "/sapi/v1/capital/withdraw/apply?coin=BTC&address=x&amount=1"),
        ("POST", "/sapi/v1/asset/transfer?type=MAIN_MARGIN&asset=USDT&amount=1"),
        *(("POST", f"/sapi/v1/margin/{name}") for name in ("order", "loan", "transfer")),
        ("POST", "/fapi/v1/order"),
        ("POST", "/sapi/v1/sub-account/transfer/master"),
        ("GET", "/sapi/v1/account/apiRestrictions/ipRestriction"),
        ("POST", "/api/v3/userDataStream"),
        *(
            ("POST", f"/api/v3/{name}")
            for name in ("sor/order", "orderList/oto", "orderList/otoco")
        ),
        ("PUT", "/api/v3/order/amend/keepPriority"),
        ("POST", f"/{order}"),
        ("POST", order.replace("/v3/", "/v3/./")),
        ("POST", order.replace("/api/", "/sapi/../api/")),
        ("POST", order.replace("/order", "/%6frder")),
        ("POST", order.replace("/order", "/order/")),
        ("POST", order.replace("/order", "/ORDER")),
        ("POST", order.replace("/order?", "/order;x=1?")),
        ("POST", f"http://exchange.example{order}"),
        *((method, order) for method in ("PUT", "PATCH", "TRACE", "OPTIONS", "CONNECT", "BREW")),
    ]
    return dict(Counter(wire.send(*target).word for target in targets))


def polluted(wire: Wire) -> Tally:
    """Say things twice, so that the one who judges and the one who trades may read another one."""
    small = ENTRY.replace("0.5", quantity())
    twice = [
        [*_pairs(small), ("quantity", "0.5")],
        [("quantity", "0.5"), *_pairs(small)],
        [*_pairs(small), ("symbol", "ETHUSDT")],
        [*_pairs(small), ("Quantity", "0.5")],
        [*_pairs(small), ("quantity ", "0.5")],
        [*_pairs(small), ("quoteOrderQty", "50000")],
        [*_pairs(small), ("strategyId", "1"), ("strategyType", "1000001")],
        [*_pairs(small), ("newClientOrderId", "x&quantity=0.5")],
        [*_pairs(small), ("newClientOrderId", "tbgw-1-0-0")],
        [*_pairs(small), ("icebergQty", "0.0005"), ("trailingDelta", "100")],
        [*_pairs(small), ("selfTradePreventionMode", "NONE\r\nX: y")],
    ]
    tally = Counter(wire.send("POST", f"/api/v3/order?{wire.signed(each)}").word for each in twice)
    # One part in the query, another one in the body; and a second request inside the first.
    body = wire.signed(_pairs(ENTRY)).encode()
    tally[wire.send("POST", f"/api/v3/order?{small}", body, **_BODY).word] += 1
    key = f"X-MBX-APIKEY: {wire.key}"
    for lengths in ("Content-Length: 4\r\nTransfer-Encoding: chunked", "Content-Length: 4,4"):
        head = f"POST /api/v3/order?{wire.signed(_pairs(ENTRY))} HTTP/1.1\r\nHost: x\r\n{key}"
        smuggled = f"0\r\n\r\n{head}\r\n\r\n"
        request = f"GET /api/v3/ping HTTP/1.1\r\nHost: x\r\n{lengths}\r\n\r\n{smuggled}"
        tally[wire.raw(request.encode()).decode("utf-8", "replace")] += 1
    return dict(tally)


def malformed(wire: Wire) -> Tally:
    """Send numbers, symbols, bodies and frames that are none."""
    numbers = ("NaN", "-1", "0", "1e400", "-0.001", "0x10", "\uff11", "0.001 ", "9" * 5000, "", "∞")
    tally = Counter(wire.order(quantity=number).word for number in numbers)
    for price in ("NaN", "Infinity", "-60000", "1e-400", "9" * 400):
        terms = {"type": "LIMIT", "timeInForce": "GTC", "quantity": "0.001", "price": price}
        tally[wire.order(**terms).word] += 1
    for symbol in (
        "",
        "BTC-USDT",
        "btcusdt",
        "../BTCUSDT",
        "BTCUSDT\0",
        "\uff22TC",
        "X" * 9000,
    ):
        tally[wire.order(symbol=symbol).word] += 1
    for raw in (
        b"\0" * 5000,
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST " + b"x" * 200_000,
        b"\x16\x03\x01\x02",
    ):
        tally[wire.raw(raw).decode("utf-8", "replace")] += 1
    for frame in (b"{", b"[]", b'{"id":1}', b'{"id":1,"method":5}', b"\xff\xfe", b"[" * 100_000):
        with suppress(OSError), wire.websocket() as sock:
            sock.send(frame)
            tally[f"frame {sock.answer().word}"] += 1
    for method in ("order.amend.keepPriority", "sor.order.place", "orderList.place.otoco", "x"):
        with suppress(OSError), wire.websocket() as sock:
            tally[f"frame {sock.ask(method, signed_frame(wire)).word}"] += 1
    return dict(tally)


def exhaust(wire: Wire, ports: tuple[int, ...], *, connections: int) -> dict[str, Any]:
    """Hold thousands of connections and endless messages open; order meanwhile."""
    refused: Counter[str] = Counter()
    with ExitStack() as held:

        def hold(port: int, data: bytes, *, part: int) -> None:
            for _ in range(part):
                try:
                    sock = held.enter_context(wire.other(port=port).socket())
                    sock.sendall(data)
                except OSError as error:
                    refused[f"{port} {type(error).__name__}"] += 1

        for port in ports:
            hold(port, b"", part=connections // 4)
        # A body that never ends, headers that never end, and frames of megabytes.
        length = b"POST /api/v3/order HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999\r\n\r\n"
        hold(wire.port, length + b"x" * 60_000, part=connections // 8)
        hold(wire.port, b"GET / HTTP/1.1\r\nX: " + b"x" * 7000, part=connections // 8)
        for _ in range(connections // 16):
            try:
                raw = held.enter_context(wire.socket())
                raw.settimeout(2)
                WebSocket.begin(raw, wire.host, "/ws-api/v3").send(
                    b"x" * 4_000_000, length=4_100_000
                )
            except OSError as error:
                refused[f"frame {type(error).__name__}"] += 1
        began = time.monotonic()
        answer = wire.other().call("GET", "/api/v3/account")
        return {
            "refused": dict(refused),
            "account": answer.word,
            "seconds": round(time.monotonic() - began, 1),
        }


def read_too_much(wires: list[Wire], *, seconds: float) -> Tally:
    """Use up what the exchange lets the account's address ask in a minute."""

    def reads(wire: Wire) -> Iterator[Answer]:
        yield wire.call("GET", "/api/v3/allOrders", symbol="BTCUSDT", limit=1000)
        yield wire.send("GET", "/api/v3/depth?symbol=BTCUSDT&limit=5000")

    return _at_once([(reads, wire) for wire in wires], seconds=seconds)


def churn(wire: Wire, told: threading.Event) -> Iterator[dict[str, Any]]:
    """Sell and enter again for ever; yield what was accepted, by the second."""
    rng, tally, second = random.Random(1), Counter[str](), int(time.time())
    while True:
        side = rng.choice(("BUY", "BUY", "SELL"))
        answer = wire.order(side=side, quantity=quantity())
        tally[f"{side} {answer.word}"] += 1
        if int(time.time()) != second:
            yield {"second": second, "told": told.is_set(), "tally": dict(tally)}
            tally, second = Counter(), int(time.time())


def _pairs(query: str) -> list[tuple[str, Any]]:
    return [*urllib.parse.parse_qsl(query)]
