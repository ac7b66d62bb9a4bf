"""What a plain YAML scalar means to kubectl.

kubectl reads YAML with a fork of go-yaml v2, whose rules are neither YAML 1.1 nor 1.2: `yes` is
true, `0777` is octal, `22:00` and `2026-11-24` are strings. PyYAML would make 1320 of `22:00`, so
its own rules are not used. Source: sigs.k8s.io/yaml, goyaml.v2/resolve.go.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import Decimal

Scalar = str | int | float | bool | None

_NAMED: dict[str, Scalar] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE", "y", "Y", "yes", "Yes", "YES"), True),
    **dict.fromkeys(("on", "On", "ON"), True),
    **dict.fromkeys(("false", "False", "FALSE", "n", "N", "no", "No", "NO"), False),
    **dict.fromkeys(("off", "Off", "OFF"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
}
_FIRST = frozenset("+-.0123456789")
_DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9]*)", re.ASCII)
_OCTAL = re.compile(r"([-+]?)0o?([0-7]+)", re.ASCII)
_HEX = re.compile(r"([-+]?)0[xX]([0-9a-fA-F]+)", re.ASCII)
_BINARY = re.compile(r"([-+]?)0[bB]([01]+)", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_BASES = ((_OCTAL, 8), (_HEX, 16), (_BINARY, 2))
_LEAST, _MOST = -(1 << 63), (1 << 63) - 1  # beyond, kubectl goes on with a float64
_MAX_DIGITS = 400  # longer is no float64 anyway, and Python's int() is slow by then
_EXPONENT_FROM = 1e21  # where Go's JSON encoder begins to write one

_CORE = "tag:yaml.org,2002:"


def plain(text: str) -> Scalar:
    """The value of an untagged scalar that was written without quotes."""
    return _as_sent(_resolved(text))


def _resolved(text: str) -> Scalar:
    if text in _NAMED:
        return _NAMED[text]
    if text[0] not in _FIRST or len(text) > _MAX_DIGITS:
        return text
    digits = text.replace("_", "")
    number = _integer(digits)
    if number is not None:
        return number
    return float(digits) if _FLOAT.fullmatch(digits) else text


def tagged(tag: str, text: str) -> Scalar:
    """The value of a scalar with an explicit tag. Raises ValueError if it does not fit the tag."""
    kind = _KINDS.get(tag.removeprefix(_CORE) if tag.startswith(_CORE) else tag)
    if kind is None:
        raise ValueError("this tag has no meaning in a manifest")
    value = text if kind is str else _resolved(text)
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise ValueError("the value does not fit its tag")
    return _as_sent(value)


def _as_sent(value: Scalar) -> Scalar:
    """The value as it arrives in the cluster: kubectl writes a float64 that is whole as a whole
    number, so that `5.0` is an integer there."""
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXPONENT_FROM:
        return int(Decimal(repr(value)))
    return value


_KINDS: dict[str, Callable[..., object]] = {
    "!": str,
    "str": str,
    "int": int,
    "float": float,
    "bool": bool,
    "null": type(None),
}


def _integer(digits: str) -> int | None:
    number: int | None = None
    if _DECIMAL.fullmatch(digits):
        number = int(digits)
    else:
        for pattern, base in _BASES:
            if found := pattern.fullmatch(digits):
                number = int(found[1] + found[2], base)
                break
    return number if number is not None and _LEAST <= number <= _MOST else None
