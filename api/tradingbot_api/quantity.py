"""Kubernetes quantities: `500m`, `0.5`, `256Mi`, `1e3`.

The grammar is that of `k8s.io/apimachinery/pkg/api/resource`. The `kubernetes` library has a
parser too, but loading that library takes longer than checking a thousand manifests.
"""

import re
from decimal import ROUND_CEILING, Decimal, localcontext
from functools import lru_cache

PATTERN = (
    r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))"
    r"(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?[0-9]{1,2}))?$"
)

_NUMBER_AND_SUFFIX = re.compile(
    r"([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))((?:[KMGTPE]i)|[numkMGTPE]|(?:[eE][+-]?[0-9]{1,2}))?",
    re.ASCII,
)
_SCALE = {
    **{suffix: Decimal(10) ** power for suffix, power in zip("num", (-9, -6, -3), strict=True)},
    **{
        suffix: Decimal(10) ** power
        for suffix, power in zip("kMGTPE", range(3, 19, 3), strict=True)
    },
    **{f"{suffix}i": Decimal(1024) ** n for n, suffix in enumerate("KMGTPE", start=1)},
}


def plain_text(number: Decimal) -> str:
    """Return a number without exponent and without trailing zeros after the point."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


@lru_cache(maxsize=1024)
def parse_quantity(text: str) -> Decimal | None:
    """Return the number of a quantity (cores, bytes), or None if `text` is not one."""
    match = _NUMBER_AND_SUFFIX.fullmatch(text)
    if match is None:
        return None
    number, suffix = match.groups()
    with localcontext() as context:
        context.prec = 60
        if suffix is None:
            return Decimal(number)
        if suffix in _SCALE:
            return Decimal(number) * _SCALE[suffix]
        return Decimal(number) * Decimal(10) ** int(suffix[1:])


def number_text(value: object) -> str | None:
    """Return a number as text; a whole number of at most 64 bits needs no quotes."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if -(1 << 63) <= value < 1 << 63 else None
    return value if isinstance(value, str) else None


def thousandths(text: str) -> int | None:
    """Return a quantity in thousandths, rounded up as the API server does before it stores it, or
    None if `text` is not one."""
    number = parse_quantity(text)
    return None if number is None else int((number * 1000).to_integral_value(ROUND_CEILING))


def one_spelling(text: str) -> str:
    """Return the same text for all quantities of one value in thousandths: `500m` for `0.5`, `1Gi`
    for `1024Mi`. The usual spellings stay as they are."""
    milli = thousandths(text)
    if milli is None:
        raise ValueError(f"not a quantity: {text!r}")
    if milli % 1000:
        return f"{milli}m"
    whole = milli // 1000
    spellings = [
        f"{whole // int(scale)}{suffix}"
        for suffix, scale in _SCALE.items()
        if scale > 1 and whole % int(scale) == 0
    ]
    return min([f"{whole}", *spellings], key=len)
