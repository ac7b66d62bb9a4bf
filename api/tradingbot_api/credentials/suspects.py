"""The verdict on a value under a name, and on a JSON value at any depth."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from tradingbot_api.credentials import texts
from tradingbot_api.credentials.forms import CONNECTION, PEM, RUN, SIGNED_URL, holds, token_form
from tradingbot_api.credentials.harmless import is_measure
from tradingbot_api.credentials.names import may_be_measure, names_credential, words_of
from tradingbot_api.credentials.vocabulary import (
    ABOUT_AFTER,
    DESCRIBES,
    IDENTIFIES,
    OF_A_PRIVATE_KEY,
)

Pointer = tuple[str | int, ...]

SHORTEST = 6
"""Shorter values have none of the forms: `pwd=a1`."""
_KEYPAIR_LENGTH = 64
"""Bytes of a key pair of Ed25519, which wallets store as a list of numbers."""
_BYTE = range(256)
_PHRASE = range(12, 25)
_LONGEST_PHRASE = 24 * 9
_MODE = re.compile("[A-Za-z]{2,12}")
_NESTED = 2
"""JSON inside a text is read, and inside a text of that."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """What looks like a credential, and why; never the value."""

    why: str
    """The beginning of a message: `looks like a credential`."""
    certain: bool = True
    """False if it only looks random, which identifiers and hashes do as well."""


_NAMED = Suspect("looks like a credential")
_RANDOM = Suspect("the value (not shown) looks random, like a key", certain=False)


def detect(name: str, value: object, *, nested: int = _NESTED) -> Suspect | None:
    """Return why `value` under `name` is taken for a credential, None if it is not.

    `value` is a scalar of JSON. A reference or a placeholder is not a credential under any name.
    """
    if isinstance(value, str):
        if names_credential(name) and _is_secret_of(name, value):
            return _NAMED
        return _by_value(name, value, nested)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not names_credential(name) or (may_be_measure(name) and is_measure(str(value))):
        return None
    return _NAMED


def _is_secret_of(name: str, value: str) -> bool:
    if not texts.is_secret(name, value):
        return False
    if is_measure(value) and may_be_measure(name):
        return False
    # `authorization: rbac` names a mode; the header has a scheme or a token behind that name.
    return words_of(name)[-1:] != ["authorization"] or _MODE.fullmatch(value) is None


def _by_value(name: str, text: str, nested: int) -> Suspect | None:
    if len(text) < SHORTEST:
        return None
    run = RUN.search(text) is not None
    what = _certain(text, run=run) or _certain_inside(text, nested)
    if what is not None:
        return Suspect(what if what == texts.USER_INFO else f"looks like a credential ({what})")
    if not (run and texts.looks_random(text)):
        return None
    words = set(words_of(name))
    if texts.is_key_bytes(text) and words & OF_A_PRIVATE_KEY and not words & IDENTIFIES:
        return Suspect("looks like a credential (a private key)")
    return None if words & IDENTIFIES else _RANDOM


def _certain(text: str, *, run: bool) -> str | None:
    """Return what a text holds that is a credential whatever it is called.

    A text is only searched for what a character in it allows: most have none of these.
    """
    found = PEM.what if holds(PEM, text) else None
    if run:
        found = found or token_form(text)
    if "@" in text:
        found = found or texts.url_credential(text)
        found = found or (CONNECTION.what if holds(CONNECTION, text) else None)
    if "=" in text:
        found = found or texts.pair_credential(text)
        found = found or (SIGNED_URL.what if holds(SIGNED_URL, text) else None)
    if "-" in text and " " in text:
        found = found or texts.flag_credential(text)
    if ":" in text or " " in text:
        found = found or texts.authorization(text) or texts.line_credential(text)
    return found or texts.recovery_phrase(text)


def _certain_inside(text: str, nested: int) -> str | None:
    """Return what a text holds if it is JSON that holds a credential."""
    if not nested or text.lstrip()[:1] not in {"{", "["}:
        return None
    try:
        value = from_json(text)
    except ValueError:
        return None
    certain = any(suspect.certain for _, suspect in detect_in(value, nested=nested - 1))
    return "inside JSON" if certain else None


def detect_in(
    value: object, pointer: Pointer = (), *, nested: int = _NESTED
) -> Iterator[tuple[Pointer, Suspect]]:
    """Yield the places in a JSON value that hold credentials, and why.

    A mapping under the name of a credential may describe it, as `secret: {name: db, key: login}`
    does. What it holds under other keys than those counts as the credential. A list under such a
    name holds credentials.
    """
    yield from _walk("", value, pointer, nested, inherits=False)


def _walk(
    name: str, value: object, pointer: Pointer, nested: int, *, inherits: bool
) -> Iterator[tuple[Pointer, Suspect]]:
    """Yield the credentials in `value`. With `inherits`, it is part of one that `name` names."""
    if isinstance(value, Mapping):
        of_value = _name_of_value(value)
        for key, inner in map(_as_text, value.items()):
            if key == "value" and of_value is not None:
                yield from _walk(of_value, inner, (*pointer, key), nested, inherits=True)
                continue
            secret = names_credential(key)
            part = inherits and not secret and not _describes(key)
            own = name if part else key
            yield from _walk(own, inner, (*pointer, key), nested, inherits=secret or part)
    elif isinstance(value, list):
        whole = _as_a_whole(value)
        if whole is not None:
            yield pointer, Suspect(f"looks like a credential ({whole})")
            return
        for index, inner in enumerate(value):
            flag = texts.name_of_flag(value[index - 1]) if index else None
            own = name if flag is None or str(inner).startswith("-") else flag
            yield from _walk(own, inner, (*pointer, index), nested, inherits=inherits)
    elif (found := detect(name, value, nested=nested)) is not None:
        yield pointer, found


def _as_text(item: tuple[object, object]) -> tuple[str, object]:
    return str(item[0]), item[1]


def _name_of_value(item: Mapping[Any, object]) -> str | None:
    """Return the name of a credential in `{name: DB_PASSWORD, value: ...}`, None without one."""
    names = (item.get(key) for key in ("name", "key", "header"))
    return next((name for name in names if isinstance(name, str) and names_credential(name)), None)


def _describes(key: str) -> bool:
    """Return whether a key under the name of a credential is that of something about it."""
    last = words_of(key)[-1:]
    return any(word in ABOUT_AFTER or word in DESCRIBES for word in last)


def _as_a_whole(values: list[object]) -> str | None:
    """Return what a list is if only all its values together are a credential."""
    if len(values) == _KEYPAIR_LENGTH and all(
        isinstance(value, int) and not isinstance(value, bool) and value in _BYTE
        for value in values
    ):
        return "the bytes of a private key"
    if len(values) in _PHRASE and all(isinstance(value, str) for value in values):
        return texts.recovery_phrase(" ".join(map(str, values))[:_LONGEST_PHRASE])
    return None
