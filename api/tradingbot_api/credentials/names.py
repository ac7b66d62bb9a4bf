"""Whether a name is that of a credential.

A name is split into words: `exchangeAPIKey2` is `exchange api key`. What a name is about stands
last in English, so the words behind the one that names a secret decide: `apiKeyHeader` is a header,
and `headerApiKey` is a key. A word that is not known changes nothing: `apiKeyBinance` is a key.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from unicodedata import normalize

from tradingbot_api.credentials.cel import refused_by_schema
from tradingbot_api.credentials.vocabulary import (
    ABOUT_A_TOKEN_AFTER,
    ABOUT_AFTER,
    ABOUT_BEFORE,
    BEFORE_PASS,
    ENDINGS,
    HALF_OF_A_PAIR,
    HINTS,
    IDENTIFIES,
    PAIRS,
    SECRETS,
    STEMS,
    TOKEN_OF_A_CHAIN,
)

_WORD = re.compile(r"[A-Z]{2,}s(?![A-Za-z])|[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_STEM = re.compile("|".join(sorted(STEMS, key=len, reverse=True)))
_HINT = re.compile("|".join(HINTS), re.IGNORECASE | re.ASCII)
_SHORT_FOR_PASSWORD = ("pass", "pw")
_LONGEST = 256
"""Nobody names anything at greater length; the rest of a longer name is not read."""


def names_credential(name: str) -> bool:
    """Return whether a value of that name is probably a credential: `apiKey`, `db_password`."""
    name = name[:_LONGEST]
    if not name.isascii():
        name = normalize("NFKC", name)
    return _HINT.search(name) is not None and _names_credential(name)


def is_plain_token(name: str) -> bool:
    """Return whether `name` names a credential only by the word token, which is also what an asset
    on a chain is called."""
    words = words_of(name)
    return "token" in words and not any(word in SECRETS - {"token"} for word in words)


def identifies(name: str) -> bool:
    """Return whether `name` is that of a hash, an identifier or an address: random, and known to
    everybody."""
    return not IDENTIFIES.isdisjoint(words_of(name))


def may_be_measure(name: str) -> bool:
    """Return whether a number under `name` measures an asset, as `tokenSpread` and `riskPerToken`
    do: `token` among other words, and not at the end of what is mostly a credential."""
    return is_plain_token(name) and len(words_of(name)) > 1 and not refused_by_schema(name)


@lru_cache(maxsize=4096)
def _names_credential(name: str) -> bool:
    return _by_words(words_of(name)) or refused_by_schema(name)


def words_of(name: str) -> list[str]:
    """Split a name into words in lower case: at separators, digits and changes of case, and around
    a word that names a secret in a run of letters."""
    words: list[str] = []
    for match in _WORD.finditer(name):
        words += _split_run(match[0].lower())
    return words


def _split_run(run: str) -> list[str]:
    stem = _STEM.search(run)
    if stem is not None:
        rest = run[stem.end() :]
        parts = [run[: stem.start()], stem[0], "" if rest == "s" else rest]
        return [part for part in parts if part]
    for ending in ENDINGS:
        if run.endswith(ending) and run != ending:
            return [run.removesuffix(ending), ending]
    for short in _SHORT_FOR_PASSWORD:
        if run.endswith(short) and run.removesuffix(short) in BEFORE_PASS:
            return [run.removesuffix(short), short]
    return [run]


def _by_words(words: Sequence[str]) -> bool:
    """Return whether the last words that name a secret are what the whole name is about."""
    for last in range(len(words) - 1, -1, -1):
        first = _first_of_term(words, last)
        if first is not None:
            if tuple(words[first:]) == HALF_OF_A_PAIR:
                return True
            before, after = words[:first], words[last + 1 :]
            is_token = words[last] == "token"
            return not (
                any(word in ABOUT_AFTER for word in after)
                or (is_token and any(word in ABOUT_A_TOKEN_AFTER for word in after))
                or any(word in ABOUT_BEFORE for word in before)
                or (is_token and before and before[-1] in TOKEN_OF_A_CHAIN)
                or ("of" in before and any(word in ABOUT_AFTER for word in before))
            )
    return False


def _first_of_term(words: Sequence[str], last: int) -> int | None:
    """Return the index at which a term that names a secret begins if it ends at `last`."""
    word, previous = words[last], words[last - 1] if last else ""
    if (previous, word) in PAIRS:
        return last - 1
    if word in _SHORT_FOR_PASSWORD:
        alone = word == "pass" and len(words) == 1
        return last if alone or previous in BEFORE_PASS else None
    return last if word in SECRETS else None
