"""API keys: read from a file, or made at the start.

The file is YAML:

```yaml
keys:
  - account: main
    name: vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A
    secret: NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j
```

A key has either `secret` (for HMAC), or `private_key` or `public_key` as PEM (Ed25519 or EC P-256;
a private Ed25519 key may be in base64, as Coinbase writes it). The exchange itself needs no private
key; it is there for the clients.
"""

import base64
import os
import secrets
import stat
import string
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from tradingbot_exchange.documents import listed, printable
from tradingbot_exchange.errors import KeysFileError
from tradingbot_exchange.market.symbols import DialectName
from tradingbot_exchange.venue import ApiKey
from tradingbot_exchange.yaml_documents import YamlError, load

_MAX_BYTES = 1 << 20
_CHARACTERS = string.ascii_letters + string.digits
_ED25519_BYTES = 32
_OTHERS = stat.S_IRWXG | stat.S_IRWXO

_PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[!-~]+$")]


class KeyEntry(BaseModel):
    """One key of the file. Its secrets show in no repr and no error."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    account: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")] = "main"
    name: Name
    secret: SecretStr | None = None
    private_key: SecretStr | None = None
    public_key: SecretStr | None = None
    permissions: frozenset[Literal["read", "trade", "withdraw"]] = frozenset({"read", "trade"})

    @model_validator(mode="after")
    def _one_secret(self) -> Self:
        if sum(x is not None for x in (self.secret, self.private_key, self.public_key)) != 1:
            raise ValueError("a key has one of secret, private_key and public_key")
        return self

    def api_key(self) -> ApiKey:
        """Return what the exchange needs of it. Raises ValueError for a key that can't be used."""
        if self.secret is not None:
            verifier = self.secret.get_secret_value()
        elif self.public_key is not None:
            verifier = _public_pem(self.public_key.get_secret_value())
        elif self.private_key is not None:
            verifier = _public_of(self.private_key.get_secret_value())
        else:
            verifier = ""
        if not verifier:
            raise ValueError("the secret is empty")
        return ApiKey(
            name=self.name,
            account=self.account,
            secret=verifier,
            permissions=frozenset(self.permissions),
        )


class KeysFile(BaseModel):
    """The content of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
    keys: tuple[KeyEntry, ...] = Field(min_length=1, max_length=10_000)


def make_keys(dialect: DialectName, accounts: Sequence[str]) -> KeysFile:
    """Return two new keys for each account.

    Binance: HMAC and Ed25519. Coinbase: EC P-256 and Ed25519.
    """
    makers = {
        DialectName.BINANCE: (_hmac_key, _ed25519_key),
        DialectName.COINBASE: (_ec_key, _coinbase_ed25519_key),
    }[dialect]
    return KeysFile(keys=tuple(make(account) for account in accounts for make in makers))


def keys_text(keys: KeysFile) -> str:
    """Return the file's text, with the secrets."""
    entries = []
    for key in keys.keys:
        entry: dict[str, object] = {"account": key.account, "name": key.name}
        for field in ("secret", "private_key", "public_key"):
            value: SecretStr | None = getattr(key, field)
            if value is not None:
                entry[field] = value.get_secret_value()
        if key.permissions != {"read", "trade"}:
            entry["permissions"] = sorted(key.permissions)
        entries.append(entry)
    return yaml.dump({"keys": entries}, Dumper=_Dumper, sort_keys=False, width=1000)


def read_keys(path: Path) -> tuple[ApiKey, ...]:
    """Return the keys of a file. Raises KeysFileError, which quotes no secret."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise KeysFileError(f"cannot read {path}: {error.strerror}") from error
    if stat.S_IMODE(mode) & _OTHERS:
        raise KeysFileError(
            f"{path} has mode {stat.S_IMODE(mode):04o}, so other users can read its secrets: chmod"
            f" 600 {path}"
        )
    if len(content) > _MAX_BYTES:
        raise KeysFileError(f"{path}: is larger than 1 MiB")
    try:
        document = load(content)
    except YamlError as error:
        place = "" if error.line is None else f":{error.line}"
        raise KeysFileError(f"{path}{place}: is not YAML") from None
    try:
        entries = KeysFile.model_validate(document).keys
    except ValidationError as error:
        texts = [
            f"{'.'.join(map(printable, detail['loc']))}:"
            f" {detail['msg'].removeprefix('Value error, ')}"
            for detail in error.errors(include_url=False, include_input=False)
        ]
        raise KeysFileError(f"{path}: {listed(texts)}") from None
    return _api_keys(path, entries)


def write_keys(path: Path, keys: KeysFile) -> None:
    """Write a new file of mode 0600. Raises KeysFileError, also if it exists."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(keys_text(keys))
    except OSError as error:
        raise KeysFileError(f"cannot write {path}: {error.strerror}") from error


def api_keys(keys: KeysFile) -> tuple[ApiKey, ...]:
    """Return what the exchange needs of keys that were just made."""
    return tuple(key.api_key() for key in keys.keys)


def _api_keys(path: Path, entries: Sequence[KeyEntry]) -> tuple[ApiKey, ...]:
    found: dict[str, ApiKey] = {}
    for number, entry in enumerate(entries):
        if entry.name in found:
            raise KeysFileError(f"{path}: keys.{number}.name: another key has this name")
        try:
            found[entry.name] = entry.api_key()
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise KeysFileError(
                f"{path}: keys.{number}: not an Ed25519 or EC P-256 key, or it is encrypted"
            ) from None
    return tuple(found.values())


def _hmac_key(account: str) -> KeyEntry:
    return KeyEntry(account=account, name=_random_text(), secret=SecretStr(_random_text()))


def _ed25519_key(account: str) -> KeyEntry:
    private = SecretStr(_private_pem(ed25519.Ed25519PrivateKey.generate()))
    return KeyEntry(account=account, name=_random_text(), private_key=private)


def _ec_key(account: str) -> KeyEntry:
    private = SecretStr(_private_pem(ec.generate_private_key(ec.SECP256R1())))
    return KeyEntry(account=account, name=_coinbase_name(), private_key=private)


def _coinbase_ed25519_key(account: str) -> KeyEntry:
    # Coinbase hands these out as base64 of the private and the public half.
    key = ed25519.Ed25519PrivateKey.generate()
    both = base64.b64encode(key.private_bytes_raw() + key.public_key().public_bytes_raw()).decode()
    return KeyEntry(account=account, name=_coinbase_name(), private_key=SecretStr(both))


def _coinbase_name() -> str:
    return f"organizations/{uuid.uuid4()}/apiKeys/{uuid.uuid4()}"


def _random_text() -> str:
    return "".join(secrets.choice(_CHARACTERS) for _ in range(64))


def _private_pem(key: _PrivateKey) -> str:
    # Coinbase hands out EC keys in the older form, and its clients tell them by that.
    form = (
        serialization.PrivateFormat.TraditionalOpenSSL
        if isinstance(key, ec.EllipticCurvePrivateKey)
        else serialization.PrivateFormat.PKCS8
    )
    return key.private_bytes(
        serialization.Encoding.PEM, form, serialization.NoEncryption()
    ).decode()


def _public_of(private: str) -> str:
    """Return the public half of a PEM, or of Coinbase's base64."""
    if "-----BEGIN" in private:
        loaded = serialization.load_pem_private_key(private.encode(), password=None)
        return _verifier(loaded.public_key())
    halves = base64.b64decode(private, validate=True)
    if len(halves) not in {_ED25519_BYTES, 2 * _ED25519_BYTES}:
        raise ValueError("not an Ed25519 key")
    key = ed25519.Ed25519PrivateKey.from_private_bytes(halves[:_ED25519_BYTES])
    return _verifier(key.public_key())


def _public_pem(text: str) -> str:
    return _verifier(serialization.load_pem_public_key(text.encode()))


def _verifier(key: object) -> str:
    if isinstance(key, ed25519.Ed25519PublicKey) or (
        isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)
    ):
        return key.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ).decode()
    raise ValueError("not an Ed25519 or EC P-256 key")


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, so that a PEM can be copied."""


def _text_node(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_represent: Callable[..., None] = _Dumper.add_representer
_represent(str, _text_node)
