"""What is wrong with the values in a Secret, without a word of them.

A value that is empty or ends in a newline is found by the exchange alone, which then says that the
signature is wrong. Such a Secret mostly comes from `echo key | base64` or from a template.
"""

from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from tradingbot_operator.reasons import Reason

_INVISIBLE = "\ufeff\u200b\u2060"
"""Characters that editors and web pages add, and nobody sees: a byte order mark, spaces of width
zero."""
_PEM = "-----BEGIN "

ADVICE: Mapping[Reason, str] = {
    Reason.KEY_EMPTY: "is empty; the bot starts after it has a value",
    Reason.KEY_HAS_WHITESPACE: (
        "begins or ends with white space, such as a newline; store it without it: echo and editors"
        " add a newline, printf does not"
    ),
    Reason.KEY_NOT_TEXT: "is not text in UTF-8, or has control characters; store it as plain text",
}
"""The end of the sentence `Key "x" of Secret "y"`."""


def flaw_of(encoded: object) -> Reason | None:
    """Return why a value of `data` can't be a credential, None if it can. It is in base64."""
    try:
        text = b64decode(str(encoded), validate=True).decode("utf-8")
    except ValueError:
        return Reason.KEY_NOT_TEXT
    bare = text.strip().strip(_INVISIBLE).strip()
    if not bare:
        return Reason.KEY_EMPTY
    inside, whole = bare, text
    if bare.startswith(_PEM):
        # A key in PEM form ends with a newline by its standard, and has others inside.
        inside, whole = bare.replace("\r", "").replace("\n", ""), text.rstrip("\r\n")
    if any(character < " " or character == "\x7f" for character in inside):
        return Reason.KEY_NOT_TEXT
    return None if whole == bare else Reason.KEY_HAS_WHITESPACE


def flaws(data: Mapping[str, Any] | None) -> dict[str, Reason]:
    """Return the keys of a Secret whose values can't be credentials, and why."""
    found = ((key, flaw_of(value)) for key, value in (data or {}).items())
    return {key: flaw for key, flaw in found if flaw is not None}
