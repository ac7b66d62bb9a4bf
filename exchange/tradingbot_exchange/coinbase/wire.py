"""Numbers and times as Coinbase writes them: decimals as strings, times by RFC 3339 in UTC."""

import re
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal, localcontext

AVERAGE_PLACES = Decimal("1E-16")
"""How far averages and percentages are computed."""

_DIGITS = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def number(value: Decimal) -> str:
    """Return a number without exponent and without zeros at its end."""
    text = f"{value:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def parse_number(text: str) -> Decimal | None:
    """Return a number that is written with digits and a point alone, or None."""
    return Decimal(text) if _DIGITS.fullmatch(text) else None


def ratio(part: Decimal, whole: Decimal) -> Decimal:
    """Return `part / whole`, to 16 places; 0 of nothing."""
    if not whole:
        return Decimal(0)
    with localcontext(prec=50):
        return (part / whole).quantize(AVERAGE_PLACES, rounding=ROUND_HALF_EVEN)


def instant(milliseconds: int) -> str:
    """Return a time such as `2026-11-30T16:00:00.123Z`."""
    moment = _EPOCH + timedelta(milliseconds=milliseconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def parse_instant(text: str) -> int | None:
    """Return the milliseconds since the epoch of an RFC 3339 time with a zone, or None."""
    try:
        moment = datetime.fromisoformat(_microseconds(text))
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def _microseconds(text: str) -> str:
    """Cut nanoseconds, which Coinbase accepts and `datetime` does not."""
    return re.sub(r"(\.[0-9]{6})[0-9]+", r"\1", text)
