"""Times as RFC 3339 text."""

import re
from datetime import UTC, datetime, timedelta

_PATTERN = re.compile(
    r"(?P<minute>[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}):(?P<second>[0-9]{2})"
    r"(?:\.(?P<fraction>[0-9]+))?(?P<offset>[Zz]|[+-][0-9]{2}:[0-9]{2})"
)

EARLIEST = datetime.min.replace(tzinfo=UTC)
LATEST = datetime.max.replace(tzinfo=UTC)

LEAP_SECOND = 60


def parse(text: str) -> datetime:
    """Return the time in UTC; a leap second is the second after it.

    Times that are outside the calendar in UTC become its first or last moment. Fractions are cut
    to microseconds. Raises ValueError for any other text: `datetime.fromisoformat` takes week
    dates, times without seconds and more.
    """
    found = _PATTERN.fullmatch(text)
    if found is None:
        raise ValueError("not RFC 3339")
    leap = int(found["second"]) == LEAP_SECOND
    second = "59" if leap else found["second"]
    fraction = (found["fraction"] or "").ljust(6, "0")[:6]
    if found["minute"][11:13] == "24":
        raise ValueError("hour 24")
    local = datetime.fromisoformat(
        f"{found['minute'].upper()}:{second}.{fraction}{found['offset'].upper()}"
    )
    try:
        moment = local.astimezone(UTC)
        return moment + timedelta(seconds=1) if leap else moment
    except OverflowError:
        return EARLIEST if local.year == EARLIEST.year else LATEST


def text_of(moment: datetime) -> str:
    """Return the time as text of fixed width in UTC, so that text order is time order."""
    # Not strftime: some platforms write the year 999 with three digits.
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
