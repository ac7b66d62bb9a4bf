"""Credentials inside a longer text: URLs, connection strings, headers, recovery phrases.

Each search is linear in the length of the text: what is read behind a mark is bounded, or ends
where the next search begins.
"""

import json
import re
from base64 import b64decode
from collections import Counter
from collections.abc import Iterable
from functools import cache
from hashlib import sha256
from importlib.resources import files
from itertools import pairwise
from math import log2

from tradingbot_api.credentials.harmless import carries_no_secret, is_asset
from tradingbot_api.credentials.names import is_plain_token, names_credential

USER_INFO = "is a URL with user info"

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]{0,31}\Z")
_AUTHORITY = re.compile(r"[^/?#\s\"'<>]*")
_BEHIND_SLASH = re.compile(r"[^\s\"'<>]{0,256}@")
_PORT = re.compile(r"[0-9]{0,5}")
_NAMES_ONLY_A_USER = frozenset(
    {
        *("ssh", "git+ssh", "ssh+git", "sftp", "scp", "git", "rsync", "svn+ssh", "ldap", "ldaps"),
        *("postgres", "postgresql", "mysql", "mariadb", "mongodb", "mongodb+srv", "mssql"),
        *("sqlserver", "oracle", "clickhouse", "cockroachdb", "amqp", "amqps", "imap", "smtp"),
    }
)
"""Schemes whose user info without a password is a name; over HTTP it is mostly a token."""

_BARE_DSN = re.compile(
    r"(?<![\w.:/@\-])([\w.+\-]{1,64}):([^\s:@/\"'<>]{1,128})@([A-Za-z0-9.\-]{1,128})(:[0-9]{1,5}|/|\s|\Z)",
    re.ASCII,
)
_NO_DSN = frozenset({"mailto", "sip", "sips", "acct", "xmpp", "im", "tel"})

_PAIR = re.compile(
    r"(?<![A-Za-z0-9_.])([A-Za-z][A-Za-z0-9_.\-]{0,63})[ \t]{0,3}=(?![=>~])", re.ASCII
)
_PAIR_VALUE = re.compile(
    r"[ \t]{0,3}(?:\"([^\"]{0,512})|'([^']{0,512})"
    r"|(\$?\{\{?[^{}]{0,256}\}?\}|\$\([^()]{0,256}\))|([^\s;&,\"')]{0,512}))"
)
_LINE = re.compile(
    r"(?m)(?:^[ \t]{0,16}|[\"'])([A-Za-z][A-Za-z0-9_.\-]{0,63})[\"']?[ \t]{0,2}:[ \t]{0,4}"
    r"[\"']?(\S{1,512})[ \t]{0,4}$",
    re.ASCII,
)
_FLAG = re.compile(
    r"(?<![A-Za-z0-9_\-])--?([A-Za-z][A-Za-z0-9_.\-]{0,63})"
    r"[ \t]{1,4}[\"']?([^\s\"'\-][^\s\"']{0,512})",
    re.ASCII,
)
_FLAG_ALONE = re.compile(r"--?([A-Za-z][A-Za-z0-9_.\-]{0,127})", re.ASCII)
_SCHEME_AND_CREDENTIAL = re.compile(
    r"(?<![A-Za-z0-9])(bearer|basic|token|digest|apikey)[ \t]{1,4}(\S{1,2048})", re.IGNORECASE
)
_NOT_A_BEARER = frozenset(
    {
        *("token", "tokens", "auth", "authentication", "authorization", "header", "scheme", "only"),
        *("required", "jwt", "plan", "tier", "bucket", "or", "and", "is", "in"),
    }
)

_WORDS_IN_A_ROW = re.compile(r"\b(?:[A-Za-z]{3,8}+[^A-Za-z0-9]{1,3}+){11}[A-Za-z]{3,8}", re.ASCII)
_LETTERS = re.compile(r"[A-Za-z]+")
_SHORTEST_PHRASE = 12
_SHORTEST_TEXT = 12 * 4 - 1
_DIFFERENT_WORDS = 8

_SHOWN = 32
_OPAQUE = 24
_OPAQUE_IN_PROSE = 16

_RANDOM = re.compile(r"(?:0x)?[A-Za-z0-9+/_\-]{24,512}={0,2}", re.ASCII)
_HEX = re.compile(r"(?:0x)?([0-9a-fA-F]{32,512})", re.ASCII)
_PUBLIC = re.compile(
    r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z|0x[0-9a-fA-F]{40}\Z|[xyzuvt]pub"
    r"|LS0tLS1CRUdJTi"
)
"""UUIDs, addresses, extended public keys of wallets, and PEM that holds no private key."""
_KEY_BYTES = re.compile(r"(?:0x)?[0-9a-fA-F]{64}|[1-9A-HJ-NP-Za-km-z]{86,88}", re.ASCII)
_HEX_ENTROPY = 3.0
_ENTROPY = 3.5
"""Bits a character. 20 random characters of base64 have about 4, words have about 3."""


def url_credential(text: str) -> str | None:
    """Return what a URL in `text` holds if it has a password, or a token in place of a user."""
    end = 0
    while (mark := text.find("://", end)) >= 0:
        end = mark + 3
        authority = _AUTHORITY.match(text, end)
        found = authority[0] if authority else ""
        user_info, at, _ = found.rpartition("@")
        if not at:
            _, colon, port = found.partition(":")
            behind = None
            if colon and not _PORT.fullmatch(port) and not found.startswith("["):
                behind = _BEHIND_SLASH.match(text, end)
            if behind is None:
                continue
            user_info = behind[0][:-1]  # a password with a slash, which should have been escaped
        user, colon, password = user_info.partition(":")
        scheme = _SCHEME.search(text, max(0, mark - 32), mark)
        if colon and password:
            if not carries_no_secret(password):
                return USER_INFO
        elif (
            user
            and not carries_no_secret(user)
            and (scheme is None or scheme[0].lower() not in _NAMES_ONLY_A_USER)
        ):
            return USER_INFO
    for match in _BARE_DSN.finditer(text):
        user, password, host, behind_host = match.groups()
        if user.lower() in _NO_DSN or carries_no_secret(password) or host.startswith("sha"):
            continue
        if "." in host or host == "localhost" or behind_host.startswith(":"):
            return "a connection string with a password"
    return None


def pair_credential(text: str) -> str | None:
    """Return what a setting inside `text` is if it has the name of a credential and a value, as in
    `Server=db;Password=x`, `host=db password=x` and `?apikey=x`."""
    for match in _PAIR.finditer(text):
        if names_credential(match[1]):
            value = _PAIR_VALUE.match(text, match.end())
            if value is not None and is_secret(match[1], next(filter(None, value.groups()), "")):
                return f"sets {_shown(match[1])}"
    return None


def name_of_flag(text: object) -> str | None:
    """Return the name of a flag of a command line, whose value is the next argument, or None."""
    match = _FLAG_ALONE.fullmatch(text) if isinstance(text, str) else None
    return None if match is None else match[1]


def flag_credential(text: str) -> str | None:
    """Return what a flag in a command line is if it has the name of a credential and a value that
    is not a word, as in `bot --api-key x1`."""
    return _opaque_setting((match[1], match[2]) for match in _FLAG.finditer(text))


def line_credential(text: str) -> str | None:
    """Return what a line of `text` is if it is a header or a setting with the name of a credential
    and a value that is not a word, as in `X-API-Key: x1`."""
    return _opaque_setting((match[1], match[2].strip("\"',;")) for match in _LINE.finditer(text))


def _opaque_setting(settings: Iterable[tuple[str, str]]) -> str | None:
    for name, value in settings:
        if names_credential(name) and is_opaque(value) and is_secret(name, value):
            return f"sets {_shown(name)}"
    return None


def _shown(name: str) -> str:
    """Return the name of a setting for a message; a name is cut like the key of an object."""
    return name if len(name) <= _SHOWN else "a credential"


def is_secret(name: str, value: str) -> bool:
    """Return whether a value under the name of a credential is one, and not only refers to one or
    names an asset."""
    return not (carries_no_secret(value) or (is_plain_token(name) and is_asset(value)))


def authorization(text: str) -> str | None:
    """Return what `text` holds if it has a scheme of HTTP authentication with a credential."""
    whole = text.strip()
    for match in _SCHEME_AND_CREDENTIAL.finditer(text):
        scheme, credential = match[1].lower(), match[2].strip("\"',;()")
        alone = match[0].strip() == whole
        if credential.lower() in _NOT_A_BEARER or carries_no_secret(credential):
            continue
        if scheme == "basic":
            found = _is_basic(credential)
        elif _is_header(text, match.start()) or (scheme == "bearer" and alone):
            found = True
        else:
            found = is_opaque(credential) and (alone or len(credential) >= _OPAQUE_IN_PROSE)
        if found:
            return f"a {match[1].capitalize()} credential"
    return None


def _is_header(text: str, start: int) -> bool:
    return text[max(0, start - 20) : start].rstrip(" :=\"'").lower().endswith("authorization")


def _is_basic(text: str) -> bool:
    try:
        return b":" in b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        return False


def is_opaque(text: str) -> bool:
    """Return whether `text` is not a word: it has a digit among letters, or is long."""
    digits = sum(character.isdigit() for character in text)
    return (0 < digits < len(text)) or len(text) >= _OPAQUE


@cache
def _bip39() -> dict[str, int]:
    """Return the words of BIP-39 and the number that each stands for."""
    source = files("tradingbot_api.credentials").joinpath("bip39_english.json")
    return {word: n for n, word in enumerate(json.loads(source.read_text(encoding="utf-8")))}


def recovery_phrase(text: str) -> str | None:
    """Return what `text` holds if twelve words in a row are of the list of BIP-39.

    Words that repeat, such as `buy sell hold buy sell hold`, have to fit the checksum as well.
    """
    if len(text) < _SHORTEST_TEXT or _WORDS_IN_A_ROW.search(text) is None:
        return None
    run: list[str] = []
    for match in _LETTERS.finditer(text):
        word = match[0].lower()
        run = [*run[-_SHORTEST_PHRASE + 1 :], word] if word in _bip39() else []
        if len(run) == _SHORTEST_PHRASE and (
            len(set(run)) >= _DIFFERENT_WORDS or _fits_checksum(run)
        ):
            return "a recovery phrase of a wallet"
    return None


def _fits_checksum(words: list[str]) -> bool:
    """Return whether the last 4 of the 132 bits are those of the hash of the others."""
    number = 0
    for word in words:
        number = number << 11 | _bip39()[word]
    return sha256((number >> 4).to_bytes(16, "big")).digest()[0] >> 4 == number & 15


def is_key_bytes(text: str) -> bool:
    """Return whether `text` can be a private key of 32 or 64 bytes. A hash looks the same."""
    return _KEY_BYTES.fullmatch(text.strip()) is not None and looks_random(text)


def looks_random(text: str) -> bool:
    """Return whether `text` is like a random key: long, and without the order of words."""
    text = text.strip()
    if _RANDOM.fullmatch(text) is None or _PUBLIC.match(text):
        return False
    digits = _HEX.fullmatch(text)
    if digits is not None:
        return _entropy(digits[1].lower()) >= _HEX_ENTROPY
    kinds = [_kind(character) for character in text]
    separators = kinds.count("-")
    changes = sum(kind != following for kind, following in pairwise(kinds))
    return (
        {"a", "0"} <= set(kinds) | ({"a"} if "A" in kinds else set())
        and separators <= 2 + len(text) // 16
        and changes * 10 >= len(text) * 4
        and _entropy(text) >= _ENTROPY
    )


def _kind(character: str) -> str:
    if character.isdigit():
        return "0"
    if character.isalpha():
        return "A" if character.isupper() else "a"
    return "-"


def _entropy(text: str) -> float:
    total = len(text)
    return -sum(n / total * log2(n / total) for n in Counter(text).values())
