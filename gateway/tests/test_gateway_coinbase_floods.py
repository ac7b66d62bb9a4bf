"""A bot that floods must not use up Coinbase's limits: protection, prices and exits need them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import aiohttp
import pytest
from coinbase_gateway import PRODUCT, Bot, one_bot
from exchange_process import Answer, eventually
from tradingbot_exchange.coinbase.calls import V3
from tradingbot_gateway.coinbase.rates import BOT_PUBLIC

WORKERS = 40
"""More than get a turn within the time that a request may wait."""
PATIENT_WORKERS = 20
"""They use up the bot's share too, and each gets its turn, so that an order among them does."""
FLOOD_SECONDS = 5
REFUSED = "x-tradingbot-refused"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bot]:
    with one_bot(tmp_path_factory.mktemp("coinbase")) as made:
        yield made


@pytest.fixture
def bot(running: Bot) -> Iterator[Bot]:
    yield running
    running.flatten()


def flood(
    send: Callable[[], Answer], meanwhile: Callable[[], None], *, workers: int = WORKERS
) -> list[Answer]:
    """Send requests from all sides until `meanwhile` is done and the time is over."""
    ends = time.monotonic() + FLOOD_SECONDS
    over = False

    def work() -> list[Answer]:
        found = []
        while not over:
            found.append(send())
        return found

    with ThreadPoolExecutor(workers) as pool:
        running = [pool.submit(work) for _ in range(workers)]
        try:
            while time.monotonic() < ends:
                meanwhile()
        finally:
            over = True
        return [answer for each in running for answer in each.result()]


class Gateways:
    """Reads at the exchange from the same address, as often as the gateway may read prices."""

    def __init__(self, bot: Bot) -> None:
        self.bot = bot
        self.statuses: list[int] = []

    def __call__(self) -> None:
        self.statuses.append(self.bot.exchange.request("GET", f"{V3}/time").status)
        time.sleep(1 / (BOT_PUBLIC - 1))

    def check(self) -> None:
        """A machine that is busy lets requests of two seconds arrive in one, now and then."""
        assert self.statuses.count(429) <= len(self.statuses) / 3, self.statuses


def test_reads_of_the_market_leave_the_gateway_its_part_of_the_addresss_limit(bot: Bot) -> None:
    path, gateways = f"{V3}/market/products/{PRODUCT}", Gateways(bot)
    answers = flood(lambda: bot.request("GET", path), gateways)
    gateways.check()
    limited = [each for each in answers if each.headers.get(REFUSED) == "RateLimit"]
    assert limited
    for each in limited:
        assert (each.status, each.body["error"]) == (429, "rate_limit_exceeded")
        assert each.headers["retry-after"] == "1"


def test_orders_of_products_that_do_not_exist_are_reads_of_the_bot(bot: Bot) -> None:
    numbers, gateways = count(), Gateways(bot)

    def order() -> Answer:
        return bot.order(product=f"A{next(numbers)}-USD", base_size="1", patient=False)

    answers = flood(order, gateways)
    gateways.check()
    assert any(each.headers.get(REFUSED) == "RateLimit" for each in answers)
    assert not any(each.body.get("success") for each in answers)


def test_cancels_without_end_leave_the_gateway_its_part_of_the_accounts_limit(bot: Bot) -> None:
    resting = {"order_ids": [bot.limit(bot.price() - 1000).body["order_id"]]}
    protected: list[bool] = []

    def cancel() -> Answer:
        return bot.signed("POST", f"{V3}/orders/batch_cancel", resting, patient=False)

    def buy() -> None:
        if not protected:
            eventually(lambda: bot.order().body.get("success"), seconds=60)
            eventually(lambda: any(each["stopPrice"] for each in bot.open_orders()))
            protected.append(True)
        time.sleep(0.1)

    answers = flood(cancel, buy, workers=PATIENT_WORKERS)
    assert protected
    by_exchange = [e for e in answers if e.status == 429 and e.headers.get(REFUSED) is None]
    assert len(by_exchange) <= len(answers) / 20


def test_messages_to_the_market_channels_leave_the_gateway_its_part(bot: Bot) -> None:
    message = {"type": "subscribe", "channel": "ticker_batch", "product_ids": [PRODUCT]}
    errors: list[str] = []

    async def read(socket: aiohttp.ClientWebSocketResponse) -> None:
        async for each in socket:
            errors.extend([each.data] if json.loads(each.data).get("type") == "error" else [])

    async def all_of_it() -> None:
        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as readers:
            sockets = [
                await session.ws_connect(f"wss://{bot.host}/", ssl=bot.trust) for _ in range(8)
            ]
            for socket in sockets:
                for _ in range(8):
                    await socket.send_json(message)
            own = await session.ws_connect(f"ws://127.0.0.1:{bot.exchange.port}/")
            sockets.append(own)
            for socket in sockets:
                readers.create_task(read(socket))
            for _ in range(2 * FLOOD_SECONDS):
                await own.send_json(message)
                await asyncio.sleep(0.5)
            for socket in sockets:
                await socket.close()

    asyncio.run(all_of_it())
    assert errors == []
