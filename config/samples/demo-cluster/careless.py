"""A bot with a defect: it buys bitcoin again and again, and knows no limit.

It is all that a bot behind the risk gateway needs: an address and a key, both from its environment.
It keeps no limit, places no stop and reports nothing; the gateway does. Standard library alone.
"""

import hashlib
import hmac
import json
import logging
import os
import signal
import sys
import time
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

log = logging.getLogger("careless")

SYMBOL, SPENDS = "BTCUSDT", "400"
EVERY_SECONDS = 5


def main() -> None:
    """Buy for `SPENDS` USDT every `EVERY_SECONDS`, until SIGTERM."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    while True:
        log.info("buying %s for %s USDT", SYMBOL, SPENDS)
        try:
            bought = order(side="BUY", type="MARKET", symbol=SYMBOL, quoteOrderQty=SPENDS)
            log.info("bought %s for %s USDT", bought["executedQty"], bought["cummulativeQuoteQty"])
        except HTTPError as refused:
            log.warning("HTTP %s: %s", refused.code, refused.read().decode(errors="replace"))
        except OSError as error:
            log.warning("no answer: %s", error)
        time.sleep(EVERY_SECONDS)


def order(**terms: str) -> dict[str, str]:
    """Send an order to the address and with the key that the pod has. Raises HTTPError, OSError."""
    query = urlencode({**terms, "timestamp": time.time_ns() // 1_000_000})
    secret = os.environ["EXCHANGE_API_SECRET"].encode()
    signature = hmac.new(secret, query.encode(), hashlib.sha256).hexdigest()
    url = f"{os.environ['EXCHANGE_BASE_URL']}/api/v3/order?{query}&signature={signature}"
    headers = {"X-MBX-APIKEY": os.environ["EXCHANGE_API_KEY"]}
    request = Request(url, method="POST", headers=headers)  # noqa: S310 - the pod's own address
    with urlopen(request, timeout=10) as answer:  # noqa: S310
        found: dict[str, str] = json.load(answer)
        return found


if __name__ == "__main__":
    main()
