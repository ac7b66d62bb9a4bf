"""Bodies that are not encoded as they say: the bot's mistake, and no failure of the gateway."""

from __future__ import annotations

import pytest
from coinbase_gateway import start_bot
from gateway_process import Gateway, Gateways
from tradingbot_exchange.coinbase.calls import V3

ENCODINGS = ("gzip", "deflate", "br", "zstd")


@pytest.mark.parametrize("port", ["url", "report_url", "drain_url"])
@pytest.mark.parametrize("path", ["/api/v3/order", "/risk", "/nowhere"])
def test_every_port_answers_a_body_that_is_not_what_it_says(
    gateway: Gateway, port: str, path: str
) -> None:
    for encoding in ENCODINGS:
        answer = gateway.exchange.request(
            "POST",
            path,
            body=b"symbol=BTCUSDT",
            headers={"Content-Encoding": encoding},
            port=gateway.port_of(port),
        )
        assert 400 <= answer.status < 500, (encoding, answer)


def test_so_does_the_dialect_of_coinbase(start: Gateways) -> None:
    bot = start_bot(start)
    for encoding in ENCODINGS:
        for path in (f"{V3}/orders", "/nowhere"):
            answer = bot.request("POST", path, {}, headers={"Content-Encoding": encoding})
            assert 400 <= answer.status < 500, (encoding, answer)
