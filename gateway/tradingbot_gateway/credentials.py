"""API keys: the exchange's, which only the gateway has, and the placeholder that its bot has.

The exchange's keys come from the environment, or from files (a mounted Secret). They are never in
an argument, a log line, an error or a repr.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tradingbot_api.gateway_pod import PLACEHOLDER

from tradingbot_gateway.errors import CredentialsError

__all__ = ["PLACEHOLDER", "Credentials", "read_credentials"]

KEY_VARIABLE = "EXCHANGE_API_KEY"
SECRET_VARIABLE = "EXCHANGE_API_SECRET"  # noqa: S105 - the name of a variable

_LONGEST = 16 * 1024


@dataclass(frozen=True, slots=True)
class Credentials:
    """An API key and its secret: an HMAC secret, or a private key in PEM."""

    key: str
    secret: str = field(repr=False)

    def __repr__(self) -> str:
        return "Credentials(not shown)"


def read_credentials(
    environment: Mapping[str, str], *, key_file: Path | None, secret_file: Path | None
) -> Credentials:
    """Return the exchange's keys; a file takes precedence. Raises CredentialsError."""
    return Credentials(
        _value(environment, KEY_VARIABLE, key_file, "--api-key-file"),
        _value(environment, SECRET_VARIABLE, secret_file, "--api-secret-file"),
    )


def _value(environment: Mapping[str, str], name: str, path: Path | None, setting: str) -> str:
    if path is None:
        value, source = environment.get(name, ""), f"the variable {name}"
    else:
        value, source = _content(path), f"{setting} {path}"
    value = value.strip()
    if not value:
        raise CredentialsError(f"no credential in {source}: set {name} or {setting}")
    return value


def _content(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            content = file.read(_LONGEST + 1)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise CredentialsError(f"cannot read {path}: {reason}") from None
    if len(content) > _LONGEST:
        raise CredentialsError(f"{path} is longer than {_LONGEST} bytes: it is not an API key")
    return content
