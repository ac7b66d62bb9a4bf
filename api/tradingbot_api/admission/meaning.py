"""The form in which two specs are compared: numbers by their value, everything else as written.

A decimal and a quantity have many spellings: 7, "7" and "7.0"; 1, "1" and "1000m". A user who
changes the spelling has changed nothing, so an update is neither checked nor refused for it.
Example: a stored bot has `stopLossPercentage: "150"`, which a newer rule refuses. An update that
writes it as the number 150 gets a warning, as one that leaves it.
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from tradingbot_api.admission.fields import Field, fields_of
from tradingbot_api.constraints import DECIMAL_PATTERN, DecimalText, QuantityText
from tradingbot_api.model import Model
from tradingbot_api.quantity import number_text, parse_quantity, plain_text

_DECIMAL = re.compile(DECIMAL_PATTERN.removesuffix("$"), re.ASCII)


def by_meaning(model: type[Model], raw: Any) -> Any:
    """Return a raw object of `model` with one spelling for each number. Total: malformed values
    stay as they are. If nothing changes, `raw` itself is returned."""
    fields = _with_numbers(model)
    if not fields or not isinstance(raw, dict):
        return raw
    changes = {
        name: changed
        for name, field in fields.items()
        if (changed := _value(field, raw.get(name))) is not raw.get(name)
    }
    return {**raw, **changes} if changes else raw


def has_whole_decimals(model: type[Model], raw: Any) -> bool:
    """Return whether a decimal in a raw object of `model` is a whole number without quotes."""
    if not isinstance(raw, dict):
        return False
    for name, field in _with_numbers(model).items():
        value = raw.get(name)
        if field.type.model is not None:
            if has_whole_decimals(field.type.model, value):
                return True
        elif isinstance(field.type.constraint, DecimalText) and type(value) is int:
            return True
    return False


@cache
def _with_numbers(model: type[Model]) -> Mapping[str, Field]:
    """Return the fields that are a decimal or a quantity, or hold one."""
    found = {}
    for name, field in fields_of(model).items():
        inner = field.type.items or field.type
        if isinstance(inner.constraint, DecimalText | QuantityText) or (
            inner.model is not None and _with_numbers(inner.model)
        ):
            found[name] = field
    return found


def _value(field: Field, value: Any) -> Any:
    if field.type.model is not None:
        return by_meaning(field.type.model, value)
    item = field.type.items
    if item is None:
        return _spelling(field.type.constraint, value)
    if item.model is not None and isinstance(value, list):
        return [by_meaning(item.model, each) for each in value]
    return value


def _spelling(constraint: object, value: Any) -> Any:
    text = number_text(value)
    if text is None or (isinstance(constraint, DecimalText) and not _DECIMAL.fullmatch(text)):
        return value
    number = parse_quantity(text)
    return value if number is None else plain_text(number)
