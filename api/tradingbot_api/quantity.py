"""Kubernetes quantities: `500m`, `0.5`, `256Mi`, `1e3`.

The grammar is that of `k8s.io/apimachinery/pkg/api/resource`. The `kubernetes` library has a
parser too, but loading that library takes longer than checking a thousand manifests.
"""

import re
from decimal import Decimal, localcontext
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


@lru_cache(maxsize=1024)
def parse_quantity(text: str) -> Decimal | None:
    """The number that `text` stands for (cores, bytes), or None if it is not a quantity."""
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


def quantity_text(value: object) -> str | None:
    """A quantity as text. A whole number may stand without quotes, if it has at most 64 bits."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if -(1 << 63) <= value < 1 << 63 else None
    return value if isinstance(value, str) else None


def canonical_cpu(text: str) -> str:
    """CPU in the form that the API server stores: whole cores, or millicores rounded up."""
    cores = parse_quantity(text)
    if cores is None:
        raise ValueError(f"not a quantity: {text!r}")
    milli = int((cores * 1000).to_integral_value(rounding="ROUND_CEILING"))
    return f"{milli // 1000}" if milli % 1000 == 0 else f"{milli}m"
