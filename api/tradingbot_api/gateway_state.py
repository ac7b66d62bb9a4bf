"""What a risk gateway says of itself beside its report: why it is not ready, or a warning.

It is one header of each answer to `GET /risk`, with a report and without: `REASON: SENTENCE`. The
operator shows it in the condition `GatewayReady`. Reasons are a closed list and sentences are short
and printable, because a bot may answer in the place of its gateway.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

HEADER = "X-Tradingbot-Gateway"
LONGEST_SENTENCE = 200
_FORM = re.compile(rf"([A-Za-z]{{1,40}}): ([ -~]{{1,{LONGEST_SENTENCE}}})")
_UNPRINTABLE = re.compile(r"[^ -~]")


class GatewayReason(StrEnum):
    """Why a gateway lets no entries through, or what its user should change."""

    NOT_RECONCILED = "NotReconciled"
    """It reads the account from the exchange."""
    EXCHANGE_UNREACHABLE = "ExchangeUnreachable"
    KEYS_REFUSED = "KeysRefused"
    """The exchange refuses the keys."""
    PRICES_STALE = "PricesStale"
    FIGURES_UNKNOWN = "FiguresUnknown"
    """Fills of an order, or a price of the day's start, have not arrived yet."""
    KEY_MAY_WITHDRAW = "KeyMayWithdraw"
    """A warning: entries pass."""


_REASONS = {reason.value: reason for reason in GatewayReason}


@dataclass(frozen=True, slots=True)
class GatewayNotice:
    """What a gateway says of itself. The sentence names no credential."""

    reason: GatewayReason
    sentence: str

    def header(self) -> str:
        """Return the value of the header."""
        return f"{self.reason}: {_UNPRINTABLE.sub('?', self.sentence)[:LONGEST_SENTENCE]}"

    @classmethod
    def parse(cls, value: str) -> Self | None:
        """Return the notice in a header; None for anything else than the form and the list."""
        found = _FORM.fullmatch(value)
        reason = None if found is None else _REASONS.get(found[1])
        return None if found is None or reason is None else cls(reason, found[2])
