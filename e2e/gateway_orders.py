"""Orders to the risk gateway of a local pod, as the pod's bot would send them."""

import hashlib
import hmac
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from tradingbot_api.gateway_pod import EXCHANGE_PORT, PLACEHOLDER


def market_order(address: str, side: str, quantity: str) -> tuple[int, dict[str, Any], str]:
    """Send an order for BTC. Return the status, the answer and the control that has refused it."""
    query = urllib.parse.urlencode(
        {
            "symbol": "BTCUSDT",
            "side": side,
            "type": "MARKET",
            "quantity": quantity,
            "timestamp": time.time_ns() // 1_000_000,
        }
    )
    signature = hmac.new(PLACEHOLDER.encode(), query.encode(), hashlib.sha256).hexdigest()
    url = f"http://{address}:{EXCHANGE_PORT}/api/v3/order?{query}&signature={signature}"
    request = urllib.request.Request(url, method="POST", headers={"X-MBX-APIKEY": PLACEHOLDER})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.load(answer), ""
    except urllib.error.HTTPError as error:
        return error.code, json.load(error), error.headers.get("X-Tradingbot-Refused", "")
