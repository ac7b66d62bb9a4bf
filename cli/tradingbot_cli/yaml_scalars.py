"""What a plain YAML scalar means to kubectl.

kubectl reads YAML with a fork of go-yaml v2, whose rules are neither YAML 1.1 nor 1.2: `yes` is
true, `0777` is octal, `22:00` and `2026-11-24` are strings. PyYAML would make 1320 of `22:00`, so
its own rules are not used. Source: sigs.k8s.io/yaml, goyaml.v2/resolve.go.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from decimal import Decimal

from tradingbot_api.errors import SHOWN_CHARACTERS, cut

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
_LEAST, _MOST = -(1 << 63), (1 << 63) - 1  # larger integers are a float64 to kubectl
_MAX_DIGITS = 400  # longer integers exceed float64, and Python's int() is slow
_EXPONENT_FROM = 1e21  # from here on Go's JSON encoder writes an exponent

_NOTATIONS = (
    (_OCTAL, "an octal number"),
    (_HEX, "a hexadecimal number"),
    (_BINARY, "a binary number"),
)

_PLAIN_DIGITS = "write the number that you mean in plain digits"

_CORE = "tag:yaml.org,2002:"


def plain(text: str) -> Scalar:
    """Return the value of an untagged scalar without quotes."""
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


def misreading(text: str) -> str:
    """Return what a person may misread in a number without quotes, and what to do about it.

    Empty for text that is not a number, and for a number that means what it looks like: `007` is 7.
    `22:00` is a string to kubectl, not a number to the base 60.
    """
    value = _resolved(text)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return ""
    digits, advice = text.replace("_", ""), _PLAIN_DIGITS
    what = next((name for form, name in _NOTATIONS if form.fullmatch(digits)), "")
    exact = Decimal(digits) if _FLOAT.fullmatch(digits) else None
    if exact is None or exact == Decimal(repr(value)):
        if exact is not None:
            what = "a number with an exponent" if "e" in digits.lower() else ""
        what = "a number with '_'" if "_" in text else what
    elif not what:
        what, advice = "a number of more digits than kubectl keeps", "put it into quotes"
    read = json.dumps(_as_sent(value))
    shown = cut(text, SHOWN_CHARACTERS)
    return f"{shown} without quotes is {what}, {read} to kubectl; {advice}" if what else ""


def tagged(tag: str, text: str) -> Scalar:
    """Return the value of a scalar with an explicit tag. Raises ValueError if it does not fit."""
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
    """Return the value as it arrives in the cluster.

    kubectl writes a float64 without a fraction as an integer, so `5.0` is an integer there.
    """
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
