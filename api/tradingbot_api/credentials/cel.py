"""The part of the detector that the CRD states, so that it holds without webhooks.

The patterns are read alike by Python and by RE2, which has no look-around. They are kept small: the
API server bounds the cost of a rule by the length of pattern and value. A name is refused if a term
that names a secret ends it, and values only in forms that are beyond doubt; the rest is left to the
webhook. `names` asks here as well, so the schema never refuses a name that a review admits.
"""

import re

_KINDS = {
    "key": "api|access|secret|private|signing|encryption|master|account|shared|hmac|wallet",
    "secret": "api|client|jwt|app|webhook|my|hmac|oauth|totp|exchange|binance|coinbase",
    "token": "api|access|auth|oauth|bearer|refresh|session|secret|telegram|tg|bot|slack|discord"
    "|github|jwt|webhook|user|my|exchange|binance|coinbase|personal|csrf|vault|sas",
}
"""What stands before these words in names of credentials, and in hardly any others."""
_TAIL = "(?:[-_.]?(?:value|prod|live|test|main|new|old|binance|coinbase))?[0-9]*$"

NAME_PATTERN = (
    "(?i)(?:passw(?:or)?d|passphrase|mnemonic|credential|(?:seed|recovery)[-_.]?phrase"
    + "".join(f"|(?:{kinds})[-_.]?{word}" for word, kinds in _KINDS.items())
    + f")s?{_TAIL}|(?:^|[-_.])(?:secret|pwd|creds|jwt){_TAIL}|^token{_TAIL}|^pass$"
)
"""Names of credentials by their end."""
SWITCH_PATTERN = (
    r"^(?i:max|min|num|number|count|total|n|avg|is|has|have|uses?|using|enabled?|enables|disabled?"
    r"|requires?|required|needs|allows?|allowed|without|no|skip|ignore|hide|mask|redact|show|public"
    r"|pull|supports|supported)(?:[^a-z]|$)"
)
"""Names of numbers and switches by their beginning."""
HARMLESS_PATTERN = (
    r"^$|^[^A-Za-z0-9]|^[a-z][^ :]*:|^projects/|^[xX]{4}|^ENC\[|^0x|^1INCH$|^[A-Z][A-Z0-9]{1,5}$"
    r"|[.][a-z0-9]{3,4}\W*$|^(?i:true|false|yes|no|on|off|null|none|n/a)\W*$"
)
"""The beginnings and ends of values that may carry no secret: all of `harmless`, and more."""
PEM_PATTERN = "-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY"
VALUE_PATTERN = (
    r"^[Bb]earer [A-Za-z]*[0-9][A-Za-z0-9_-]{16,}$|://[A-Za-z0-9_-]+:[A-Za-z]*[0-9][A-Za-z0-9_-]*@"
    r"|(?:^|[^A-Za-z0-9_-])(?:(?:AKIA|ASIA)[A-Z0-9]{16}|gh[pousr]_[A-Za-z0-9]{36}"
    r"|xox[abeoprs]-[A-Za-z0-9]{10}[A-Za-z0-9-]*|[sr]k_(?:live|test)_[A-Za-z0-9]{16,}"
    r")(?:[^A-Za-z0-9_-]|$)"
)
"""Values that are a credential beyond doubt."""
MAX_VALUE = 1024
"""Longer values are searched for PEM_PATTERN alone."""

_NAME = re.compile(NAME_PATTERN, re.ASCII)
_SWITCH = re.compile(SWITCH_PATTERN, re.ASCII)


def refused_by_schema(name: str) -> bool:
    """Return whether the CRD refuses a parameter of that name, unless its value is harmless."""
    return _NAME.search(name) is not None and _SWITCH.search(name) is None


def name_rule(parameters: str) -> str:
    """Return the CEL expression that holds for a `key` of `parameters` that names a credential,
    with a value that may be one."""
    return (
        f"key.matches(r'{NAME_PATTERN}') && !key.matches(r'{SWITCH_PATTERN}')"
        f" && {may_be_secret(parameters)}"
    )


def may_be_secret(parameters: str) -> str:
    """Return the CEL expression that holds if the value at `key` is not a reference."""
    return f"!{parameters}[key].matches(r'{HARMLESS_PATTERN}')"


def value_rule(parameters: str) -> str:
    """Return the CEL expression that holds for a `key` whose value is a credential."""
    value = f"{parameters}[key]"
    return (
        f"{value}.matches('{PEM_PATTERN}')"
        f" || ({value}.size() <= {MAX_VALUE} && {value}.matches(r'{VALUE_PATTERN}'))"
    )
