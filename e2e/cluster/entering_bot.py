"""A bot that enters as often as it can, and cancels each entry. Runs in a pod, on the stdlib alone.

Each line of its output is one entry: when it was sent, by the clock of the node in milliseconds,
and the control that has refused it, `-` if it has passed, `?` without an answer.
"""

import hashlib
import hmac
import http.client
import itertools
import os
import time
import urllib.parse
from urllib.parse import urlsplit

SYMBOL = "BTCUSDT"
PAUSE = 0.05


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

    # Far below the market, so that none fills; each at another price, since the same one twice in a
    # second is a duplicate.
    for number in itertools.count():
        sent, control = time.time_ns() // 1_000_000, "?"
        price = f"{57_000 + number % 900}.00"
        terms = {"side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.00100"}
        name = {"newClientOrderId": f"e{number}"}
        try:
            answer = call("POST", "/api/v3/order", symbol=SYMBOL, price=price, **terms, **name)
            control = answer.headers.get("X-Tradingbot-Refused") or f"{answer.status}"
            if answer.status == http.HTTPStatus.OK:
                control = "-"
                call("DELETE", "/api/v3/order", symbol=SYMBOL, origClientOrderId=f"e{number}")
        except OSError:
            connection.close()
        except http.client.HTTPException:
            connection.close()
        print(sent, control, flush=True)
        time.sleep(PAUSE)


if __name__ == "__main__":
    main()
