"""Fields of query parameters."""

import re
from typing import Any

import marshmallow as ma
from marshmallow import fields

from tradingbot_registry.inventory.filters import Sort
from tradingbot_registry.inventory.listing import SORT_COLUMNS
from tradingbot_registry.rfc3339 import parse

_NUMBER = re.compile("[0-9]{1,9}")


class NumberField(fields.Integer):
    """A whole number in ASCII digits: Python's `int` also takes `1_0`, signs and spaces."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if _NUMBER.fullmatch(value) is None:
            raise self.make_error("invalid", input=value)
        return super()._deserialize(value, attr, data, **kwargs)


class MomentField(fields.String):
    """A time with its offset."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        try:
            return parse(super()._deserialize(value, attr, data, **kwargs))
        except ValueError as error:
            raise ma.ValidationError(
                "Must be RFC 3339 with an offset, such as 2026-11-24T15:00:00Z (write + as %2B)."
            ) from error


class SortField(fields.String):
    """Sort keys, separated by commas, `-` for descending."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        keys = super()._deserialize(value, attr, data, **kwargs).split(",")
        sorts = tuple(Sort(key.removeprefix("-"), key.startswith("-")) for key in keys)
        if any(sort.key not in SORT_COLUMNS for sort in sorts):
            raise ma.ValidationError(
                f"Must be some of {', '.join(SORT_COLUMNS)}, joined by commas, each with an"
                " optional - before it."
            )
        if len({sort.key for sort in sorts}) != len(sorts):
            raise ma.ValidationError("Names a key twice.")
        return sorts
