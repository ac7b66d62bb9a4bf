"""Messages that clients send over a WebSocket, and who may subscribe to what."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from tradingbot_exchange.coinbase.authentication import check_legacy_subscription, check_token
from tradingbot_exchange.coinbase.channels import CHANNELS, HEARTBEATS, USER
from tradingbot_exchange.coinbase.errors import UnauthorizedError
from tradingbot_exchange.venue import ApiKey

AUTHENTICATION_FAILURE = "authentication failure"
"""The message for a bad token, and also for a channel that does not exist."""

_WITHOUT_PRODUCTS = frozenset({HEARTBEATS, USER, "status"})


class SubscriptionError(ValueError):
    """A message that is answered by `{type: error, message}`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A message that subscribes or unsubscribes. `key` is None for one without a signature."""

    subscribe: bool
    channel: str
    products: tuple[str, ...]
    key: ApiKey | None


def parse(text: str) -> Mapping[str, object]:
    """Return the members of a message. Raises SubscriptionError."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SubscriptionError("failed to parse the message: it is not JSON") from error
    if not isinstance(message, dict):
        raise SubscriptionError("failed to parse the message: it is not a JSON object")
    return message


def signed(message: Mapping[str, object]) -> bool:
    """Whether a message has a signature, right or wrong."""
    return "jwt" in message or "api_key" in message


def read(
    message: Mapping[str, object],
    keys: Mapping[str, ApiKey],
    products: frozenset[str],
    *,
    now_s: int,
) -> Subscription:
    """Return what a message asks for. Raises SubscriptionError.

    A signature is checked wherever there is one: a bad one fails on public channels, too.
    """
    kind = message.get("type")
    if kind not in ("subscribe", "unsubscribe"):
        raise SubscriptionError("type must be subscribe or unsubscribe")
    channel = message.get("channel")
    if not isinstance(channel, str):
        raise SubscriptionError("channel is required, one for each message")
    key = _key(message, keys, now_s=now_s)
    if channel not in CHANNELS or (channel == USER and not _may_read(key)):
        raise SubscriptionError(AUTHENTICATION_FAILURE)
    named = message.get("product_ids") or []
    if not isinstance(named, list) or not all(isinstance(each, str) for each in named):
        raise SubscriptionError("product_ids must be a list of product ids")
    if not named and channel not in _WITHOUT_PRODUCTS:
        raise SubscriptionError(f"product_ids is required for the channel {channel}")
    if unknown := sorted(set(named) - products):
        raise SubscriptionError(f"{unknown[0]} is not a valid product")
    return Subscription(
        subscribe=kind == "subscribe",
        channel=channel,
        products=tuple(dict.fromkeys(named)),
        key=key,
    )


def _key(message: Mapping[str, object], keys: Mapping[str, ApiKey], *, now_s: int) -> ApiKey | None:
    if not signed(message):
        return None
    token = message.get("jwt")
    try:
        if token is None:
            return check_legacy_subscription(message, keys, now_s=now_s)
        return check_token(str(token), keys, now_s=now_s, uri=None)
    except UnauthorizedError as error:
        raise SubscriptionError(AUTHENTICATION_FAILURE) from error


def _may_read(key: ApiKey | None) -> bool:
    return key is not None and "read" in key.permissions
