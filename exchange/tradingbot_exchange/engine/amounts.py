"""Exact conversion between decimals, for callers, and whole numbers, for the engine.

The conversions do not depend on the caller's decimal context.
"""

from collections.abc import Callable
from decimal import Context, Decimal, InvalidOperation

# More digits than any product of two amounts below MAX_AMOUNT has.
_EXACT = Context(prec=120, traps=[InvalidOperation])

MAX_AMOUNT = Decimal(10) ** 30
"""Above every amount that the engine accepts."""


def whole_steps(value: Decimal, step: Decimal) -> int | None:
    """Return `value / step`, or None if this is not a whole number. `value` is below MAX_AMOUNT."""
    steps, rest = _EXACT.divmod(value, step)
    return None if rest else int(steps)


def steps_down(value: Decimal, step: Decimal) -> int:
    """Return `value / step`, rounded down. `value` is not negative, and below MAX_AMOUNT."""
    return int(_EXACT.divide_int(value, step))


def steps_up(value: Decimal, step: Decimal) -> int:
    """Return `value / step`, rounded up. `value` is not negative."""
    steps, rest = _EXACT.divmod(value, step)
    return int(steps) + (1 if rest else 0)


times: Callable[[Decimal, int], Decimal] = _EXACT.multiply
"""Return a step times a number, with as many decimal places as the step."""


from_units = times
"""Return an amount of an asset: its unit times a number, with the unit's decimal places."""


def to_units(amount: Decimal, unit: Decimal) -> int | None:
    """Return an amount in units, or None if it is not finite, too large or too fine."""
    if not amount.is_finite() or abs(amount) >= MAX_AMOUNT:
        return None
    return whole_steps(amount, unit)
