"""Entries for people and for programs. No I/O."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC

from tradingbot_cli.orders.entries import Entry, Kind
from tradingbot_cli.terminal import BLUE, GREEN, PLAIN, RED, Paint, one_line

_COLUMNS = (
    ("TIME", 20),
    ("BOT", 20),
    ("EVENT", 10),
    ("SIDE", 4),
    ("SYMBOL", 10),
    ("SIZE", 12),
    ("PRICE", 12),
)
_LAST = "DETAIL"
_COLORS = {Kind.ORDERS: PLAIN, Kind.REFUSALS: RED, Kind.FILLS: GREEN, Kind.OWN: BLUE}
_LONGEST = 200
"""Characters of a value: a bot chooses its client ids, and a refusal may quote a whole call."""


def table(entries: Iterable[Entry], *, paint: Paint) -> Iterator[str]:
    """Yield a table line by line. Widths are fixed, so that a line can be shown when it comes."""
    yield "  ".join([f"{name:<{width}}" for name, width in _COLUMNS] + [_LAST])
    for entry in entries:
        cells = zip(_cells(entry), _COLUMNS, strict=True)
        row = [f"{one_line(text)[:_LONGEST]:<{width}}" for text, (_, width) in cells]
        line = "  ".join([*row, one_line(_detail(entry))]).rstrip()
        yield paint(line, _COLORS[entry.kind])


def as_json(entries: Iterable[Entry]) -> Iterator[str]:
    """Yield one JSON object a line, as the gateway wrote it."""
    for entry in entries:
        yield json.dumps(entry.line, ensure_ascii=True)


def _cells(entry: Entry) -> tuple[str, ...]:
    return (
        f"{entry.time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        entry.bot or "-",
        _event(entry),
        entry.text("side"),
        entry.text("symbol"),
        _size(entry),
        entry.text("price") or entry.text("stopPrice"),
    )


def _event(entry: Entry) -> str:
    if entry.text("verdict") == "own":
        return entry.text("action")
    names = {"allowed": "order", "filled": "fill"}
    return names.get(entry.text("verdict"), entry.text("verdict"))


def _size(entry: Entry) -> str:
    """Return the size; one in money with a mark."""
    money = entry.text("quoteSize")
    return f"{money} (money)" if money else entry.text("size")


def _detail(entry: Entry) -> str:
    """Return what is worth to know of this kind of entry."""
    named = f"{entry.text('type')} {entry.text('clientId')}".strip()
    cancels = entry.line.get("cancels")
    said = {
        Kind.ORDERS: entry.text("kind"),
        Kind.REFUSALS: _refusal(entry),
        Kind.FILLS: f"fee {entry.text('fee')} {entry.text('feeAsset')}",
        Kind.OWN: entry.text("reason"),
    }[entry.kind]
    if isinstance(cancels, list):
        said = f"for the bot: {', '.join(map(str, cancels))}"
    call = entry.text("call")
    parts = [each for each in (named or call, said) if each]
    return ": ".join(parts)[:_LONGEST]


def _refusal(entry: Entry) -> str:
    control, reason = entry.text("control"), entry.text("reason")
    return reason if reason.startswith(control) else f"{control}: {reason}"
