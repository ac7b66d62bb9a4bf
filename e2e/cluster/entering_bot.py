"""A bot that enters as often as it can. Runs in a pod, on the stdlib alone.

It cancels each entry; with the argument `hold`, it buys and holds, every few seconds. The ids of
its orders begin with the end of the name of its pod.

Each line of its output is one entry: when it was sent, by the clock of the node in milliseconds,
and the control that has refused it, `-` if it has passed, `?` without an answer.
"""

import hashlib
import hmac
import http.client
import itertools
import os
import sys
import time
import urllib.parse
from urllib.parse import urlsplit

SYMBOL = "BTCUSDT"
PAUSE, PAUSE_BETWEEN_PURCHASES = 0.05, 3.0


def main() -> None:
    where = urlsplit(os.environ["EXCHANGE_BASE_URL"])
    key, secret = os.environ["EXCHANGE_API_KEY"], os.environ["EXCHANGE_API_SECRET"]
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=5)

    def call(method: str, path: str, **values: str) -> http.client.HTTPResponse:
        query = urllib.parse.urlencode({**values, "timestamp": time.time_ns() // 1_000_000})
        sign = hmac.new(secret.encode(), query.encode(), hashlib.sha256).hexdigest()
        url = f"{path}?{query}&signature={sign}"
        connection.request(method, url, headers={"X-MBX-APIKEY": key})
        answer = connection.getresponse()
        answer.read()
        return answer

    holds = sys.argv[1:] == ["hold"]
    pod = os.environ["HOSTNAME"].rpartition("-")[2]
    for number in itertools.count():
        sent, control = time.time_ns() // 1_000_000, "?"
        order = f"{pod}-{number}"
        terms = bought(number) if holds else bid(number)
        try:
            answer = call(
                "POST", "/api/v3/order", symbol=SYMBOL, side="BUY", newClientOrderId=order, **terms
            )
            control = answer.headers.get("X-Tradingbot-Refused") or f"{answer.status}"
            if answer.status == http.HTTPStatus.OK:
                control = "-"
                if not holds:
                    call("DELETE", "/api/v3/order", symbol=SYMBOL, origClientOrderId=order)
        except OSError:
            connection.close()
        except http.client.HTTPException:
            connection.close()
        print(sent, control, flush=True)
        time.sleep(PAUSE_BETWEEN_PURCHASES if holds and control == "-" else PAUSE)


# The same entry twice in a second is a duplicate, so each is another one.


def bid(number: int) -> dict[str, str]:
    """Return the terms of an entry that does not fill: it is far below the market."""
    price = f"{57_000 + number % 900}.00"
    return {"type": "LIMIT", "timeInForce": "GTC", "quantity": "0.00100", "price": price}


def bought(number: int) -> dict[str, str]:
    """Return the terms of a small entry that fills at once."""
    return {"type": "MARKET", "quantity": f"{0.0005 + number % 60 / 100_000:.5f}"}


if __name__ == "__main__":
    main()
