"""What the operator, the risk gateway and the bot know of each other in a bot's pod."""

import re

OLDEST_KUBERNETES = (1, 29)
"""The first version with native sidecars without a feature gate."""

_NUMBER = re.compile(r"[0-9]+")

CONTAINER = "gateway"
BOT_CONTAINER = "bot"
REPORT_PORT = 8080
"""`GET /risk` for the operator, and the probes: at every address of the pod."""
EXCHANGE_PORT = 8081
"""The exchange's API for the bot: on the loopback of the pod only."""
DRAIN_PORT = 8082
"""`GET /drain`, the preStop hook: the kubelet calls it at the address of the pod."""
PLACEHOLDER = "tradingbot-gateway-placeholder"
"""What a bot has in place of the exchange's key and secret. It opens nothing but its gateway."""
CA_FILE, BUNDLE_FILE, KEY_FILE, SECRET_FILE = "ca.crt", "ca-bundle.crt", "api-key", "api-secret"
"""What a gateway hands to a bot of Coinbase in GATEWAY_DIRECTORY: its authority, the same beside
the public ones, and the name and the private key of a placeholder."""
CA_FILE_ENV, KEY_FILE_ENV, SECRET_FILE_ENV = (
    "EXCHANGE_API_CA_FILE",
    "EXCHANGE_API_KEY_FILE",
    "EXCHANGE_API_SECRET_FILE",
)
"""The variables of such a bot with the paths of these files."""
PROTECTION_PREFIX = "tbgw-"
"""Of the client ids of the gateway's own orders: stops, and sales at a stop price."""


def is_too_old(major: str, minor: str) -> bool:
    """Return whether a Kubernetes of this version runs no gateways; not if the version is unknown.

    `minor` may have more than the number, such as `28+`.
    """
    numbers = [_NUMBER.match(text) for text in (major, minor)]
    found = tuple(int(number[0]) for number in numbers if number is not None)
    return len(found) == len(numbers) and found < OLDEST_KUBERNETES
