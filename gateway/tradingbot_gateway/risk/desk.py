"""The gateway's state and its decisions in one object, which a server drives."""

from collections.abc import Iterable, Mapping

from tradingbot_api.model import JsonObject

from tradingbot_gateway.risk.actions import Action
from tradingbot_gateway.risk.events import Event
from tradingbot_gateway.risk.figures import Figures, Unknown
from tradingbot_gateway.risk.ledger import Ledger
from tradingbot_gateway.risk.limits import Settings
from tradingbot_gateway.risk.types import Market, Quote, Request
from tradingbot_gateway.risk.verdicts import Verdict


class Desk:
    """Judges requests, keeps the books, and says what to do. No I/O; time is an argument.

    The order for a server: restore, `configured`, `quoted`, reconcile with the exchange through
    `on`, then `reconciled`. After every call, before anything has an effect outside: `drain`, and
    save what it returns (to disk if one of them is in `events.DURABLE`).
    """

    ledger: Ledger

    def __init__(self, markets: Mapping[str, Market], settings: Settings) -> None:
        """`markets` are all symbols of the exchange that can be traded, by symbol."""
        raise NotImplementedError

    def configured(self, settings: Settings, now: int) -> None:
        """Apply another bot.json. The end of a trading day and a halt are never moved forward."""
        raise NotImplementedError

    def listed(self, markets: Mapping[str, Market]) -> None:
        """Apply another list of markets."""
        raise NotImplementedError

    def quoted(self, quote: Quote, now: int) -> None:
        """Note a book. Quotes are not events: they are not saved."""
        raise NotImplementedError

    def on(self, event: Event, now: int) -> None:
        """Count what happened to an order, or a price that was found."""
        raise NotImplementedError

    def decide(self, request: Request, now: int) -> Verdict:
        """Judge a request of the bot. If it is allowed, it counts as sent from here on.

        After `Allowed`, report what became of each order: `Acknowledged`, `Ended(REFUSED)` or
        `Lost`, then fills and ends as they come. An allowed request that is not sent after all is
        `Ended(REFUSED)`.
        """
        raise NotImplementedError

    def actions(self, now: int) -> tuple[Action, ...]:
        """Return what has to be done now; call it after each event and quote, and every second.

        Each action is returned once; what stays undone is returned again some seconds later.
        """
        raise NotImplementedError

    def report(self, now: int) -> Figures | Unknown:
        """Return the figures of `GET /risk`, or why they are unknown."""
        raise NotImplementedError

    def reconciled(self, now: int) -> None:
        """Let entries through: the exchange has been asked for all that may have changed."""
        raise NotImplementedError

    def disconnected(self, reason: str) -> None:
        """Let no entry through until `reconciled`: events of the exchange may have been missed."""
        raise NotImplementedError

    def terminate(self, reason: str) -> None:
        """Let no entry through any more, and cancel entry orders. Not saved."""
        raise NotImplementedError

    def notes(self, now: int) -> tuple[str, ...]:
        """Return what a user should know, such as dust that can't be protected."""
        raise NotImplementedError

    def drain(self) -> tuple[Event, ...]:
        """Return the events that were counted since the last call, for the journal."""
        raise NotImplementedError

    def snapshot(self) -> JsonObject:
        """Return the whole ledger as JSON: a journal can begin with it."""
        raise NotImplementedError

    @classmethod
    def restore(
        cls,
        markets: Mapping[str, Market],
        settings: Settings,
        *,
        snapshot: JsonObject | None,
        events: Iterable[Event],
        now: int,
    ) -> "Desk":
        """Return a desk that goes on after a snapshot and the events that were saved since.

        Orders without an answer are unknown until the exchange has said. Entries wait for
        `reconciled`.
        """
        raise NotImplementedError
