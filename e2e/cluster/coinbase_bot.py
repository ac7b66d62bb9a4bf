"""A bot that knows no limit, at Coinbase. Runs in a pod, with the ccxt of the strategies' image.

It buys again and again, with the address, the key and the authority that its pod has got from the
gateway. A line of its output is what was bought, or the error.
"""

import os
import time
from pathlib import Path

import ccxt

SPENDS, EVERY_SECONDS = 400, 3


def main() -> None:
    """Buy for `SPENDS` dollars every `EVERY_SECONDS`."""
    bot = ccxt.coinbase(
        {
            "apiKey": Path(os.environ["EXCHANGE_API_KEY_FILE"]).read_text(),
            "secret": Path(os.environ["EXCHANGE_API_SECRET_FILE"]).read_text(),
            "urls": {"api": {"rest": os.environ["EXCHANGE_BASE_URL"]}},
            "requests_trust_env": True,
            "options": {"createMarketBuyOrderRequiresPrice": False},
        }
    )
    while True:
        try:
            bought = bot.create_order("BTC/USD", "market", "buy", SPENDS)
            print("bought", bought["id"], flush=True)
        except ccxt.BaseError as error:
            print(type(error).__name__, error, flush=True)
        time.sleep(EVERY_SECONDS)


if __name__ == "__main__":
    main()
