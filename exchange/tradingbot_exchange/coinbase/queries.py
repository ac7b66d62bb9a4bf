"""Query parameters. Unknown ones are ignored, as the exchange ignores them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tradingbot_exchange.coinbase.errors import InvalidArgumentError
from tradingbot_exchange.coinbase.wire import parse_instant
from tradingbot_exchange.venue import ApiKey

_MAX_SECONDS = 10**11


@dataclass(frozen=True, slots=True)
class Query:
    """The parameters of a request, each with all its values."""

    values: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def text(self, name: str, default: str = "") -> str:
        """Return the first value."""
        found = self.values.get(name)
        return found[0] if found else default

    def several(self, *names: str) -> frozenset[str]:
        """Return all values of all the names; lists repeat their name."""
        return frozenset(text for name in names for text in self.values.get(name, ()) if text)

    def whole(self, name: str, default: int, *, most: int) -> int:
        """Return a number from 0 to `most`; `default` if it is absent. 0 means the default."""
        text = self.text(name)
        if not text:
            return default
        if not (text.isascii() and text.isdigit()) or len(text) > len(str(_MAX_SECONDS)):
            raise InvalidArgumentError(f"{name} must be a whole number, not {text!r}")
        if int(text) > most:
            raise InvalidArgumentError(f"{name} must be at most {most}")
        return int(text) or default

    def seconds(self, name: str) -> int | None:
        """Return a time that is given in seconds, in milliseconds."""
        if not self.text(name):
            return None
        return self.whole(name, 0, most=_MAX_SECONDS) * 1000

    def instant(self, name: str) -> int | None:
        """Return a time that is given by RFC 3339, in milliseconds."""
        text = self.text(name)
        if not text:
            return None
        moment = parse_instant(text.replace(" ", "+"))
        if moment is None:
            raise InvalidArgumentError(f"{name} must be a time such as 2026-11-30T16:00:00Z")
        return moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One call, after the signature was checked. `key` is None for a public call."""

    key: ApiKey | None = None
    path: Mapping[str, str] = field(default_factory=dict)
    query: Query = field(default_factory=Query)
    body: Mapping[str, object] = field(default_factory=dict)

    @property
    def account(self) -> str:
        """The account of the key. Only for calls that are not public."""
        if self.key is None:
            raise LookupError("a public call has no account")
        return self.key.account
