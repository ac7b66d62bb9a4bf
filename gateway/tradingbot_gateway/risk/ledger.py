"""The gateway's own books."""

from tradingbot_gateway.risk.events import Event


class Ledger:
    """Orders, positions and the trading day, as they follow from events."""

    def apply(self, event: Event) -> None:
        """Count an event."""
        raise NotImplementedError
