"""What a bot has gained, computed from the fills in the drop copy of its gateway alone."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal

from tradingbot_cli.orders.entries import Entry, Kind


def fills(entries: Iterable[Entry]) -> list[Entry]:
    return [entry for entry in entries if entry.kind is Kind.FILLS]


def moved(entries: Iterable[Entry]) -> dict[str, Decimal]:
    """Return what the account has gained or lost of each asset, by all fills, fees included."""
    found: dict[str, Decimal] = defaultdict(Decimal)
    for fill in fills(entries):
        base, quote = fill.text("symbol").split("-")
        size = Decimal(fill.text("size")) * (1 if fill.text("side") == "BUY" else -1)
        found[base] += size
        found[quote] -= size * Decimal(fill.text("price"))
        found[fill.text("feeAsset")] -= Decimal(fill.text("fee"))
    return found


def gained(entries: Iterable[Entry], bids: Mapping[str, Decimal], money: str) -> Decimal:
    """Return the profit in `money`, with what is held at these bids, by asset."""
    return sum(
        (
            amount * (1 if asset == money else bids[asset])
            for asset, amount in moved(entries).items()
        ),
        Decimal(0),
    )
