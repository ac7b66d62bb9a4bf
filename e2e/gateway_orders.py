"""Requests to the risk gateway of a pod, as the pod's bot would send them."""

import hashlib
import hmac
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from tradingbot_api.gateway_pod import EXCHANGE_PORT, PLACEHOLDER


def market_order(address: str, side: str, quantity: str) -> tuple[int, dict[str, Any], str]:
    """Send an order for BTC. Return the status, the answer and the control that has refused it."""
    terms = {"symbol": "BTCUSDT", "side": side, "type": "MARKET", "quantity": quantity}
    return _call(f"{address}:{EXCHANGE_PORT}", "POST", "order", terms)


def open_orders(place: str) -> list[dict[str, Any]]:
    """Return the open orders for BTC that the bot sees, of the gateway at `HOST:PORT`.

    Those of one symbol weigh 6; all weigh 80, of 3000 that a bot has in a minute.
    """
    status, answer, _ = _call(place, "GET", "openOrders", {"symbol": "BTCUSDT"})
    assert status == HTTPStatus.OK, answer
    return list(answer)


def _call(
    place: str, method: str, path: str, parameters: Mapping[str, str]
) -> tuple[int, Any, str]:
    query = urllib.parse.urlencode({**parameters, "timestamp": time.time_ns() // 1_000_000})
    signature = hmac.new(PLACEHOLDER.encode(), query.encode(), hashlib.sha256).hexdigest()
    url = f"http://{place}/api/v3/{path}?{query}&signature={signature}"
    request = urllib.request.Request(url, method=method, headers={"X-MBX-APIKEY": PLACEHOLDER})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.load(answer), ""
    except urllib.error.HTTPError as error:
        return error.code, json.load(error), error.headers.get("X-Tradingbot-Refused", "")
