"""The settings of a simulated exchange."""

import re
from decimal import Decimal, InvalidOperation
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from tradingbot_exchange.market.symbols import DialectName
from tradingbot_exchange.setting_lists import split

_ACCOUNT = re.compile(r"[A-Za-z0-9-]{1,64}")
_ASSET_LENGTH = 20
_LARGEST = Decimal(10**9)
_DEFAULT_BALANCES = {
    DialectName.BINANCE: ("USDT=10000",),
    DialectName.COINBASE: ("USD=10000",),
}


class ExchangeSettings(BaseSettings):
    """Settings of `tradingbot exchange`: flags, or `TRADINGBOT_EXCHANGE_*` variables."""

    model_config = SettingsConfigDict(env_prefix="TRADINGBOT_EXCHANGE_", frozen=True)

    dialect: DialectName = Field(description="Whose API to serve.")
    host: str = Field(
        default="127.0.0.1",
        description="Address to listen on. Keys and orders are simulated, but an address other"
        " than loopback is reached by other machines. Empty: all addresses, IPv4 and IPv6.",
    )
    port: int = Field(
        default=8070, ge=0, le=65535, description="TCP port of the exchange; 0 takes a free one."
    )
    control_port: int = Field(
        default=8071,
        ge=0,
        le=65535,
        description="TCP port for faults and statements, on 127.0.0.1 only; 0 takes a free one.",
    )
    seed: int | None = Field(
        default=None,
        ge=0,
        lt=1 << 63,
        description="Number that decides the market. The same seed gives the same prices. By"
        " default a random one, which is logged.",
    )
    market: Path | None = Field(
        default=None, description="CSV file of candles to replay instead of a generated market."
    )
    market_start: str | None = Field(
        default=None,
        description="Time in the market file, as it is written there, at which the exchange"
        " starts; earlier rows are its past. By default the first time with all symbols.",
    )
    scenario: Path | None = Field(
        default=None, description="YAML file of faults to play at given times."
    )
    speed: Decimal = Field(
        default=Decimal(1),
        ge=Decimal("0.1"),
        le=1000,
        description="How many times faster than real time the market runs.",
    )
    state: Path | None = Field(
        default=None,
        description="SQLite file that keeps orders, balances and the market over a restart."
        " Created if missing. By default all is in memory.",
    )
    keys: Path | None = Field(
        default=None,
        description="YAML file of API keys, of mode 0600 or stricter. Created, with new keys, if"
        " missing. By default keys are made at the start and printed once.",
    )
    account: Annotated[tuple[str, ...], NoDecode] = Field(
        default=("main",),
        min_length=1,
        max_length=100,
        description="Names of the accounts to make keys for, with commas between them.",
    )
    balance: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="ASSET=AMOUNT of each new account, with commas between them. By default 10000"
        " of the dialect's dollar.",
    )
    aliases: bool = Field(
        default=False,
        description="Trade BTC-USDC and ETH-USDC too, with the market of the products in USD and"
        " under their names in streams, as Coinbase does. With the dialect coinbase.",
    )
    tls_cert: Path | None = Field(
        default=None, description="PEM file of a certificate chain: serve HTTPS. With --tls-key."
    )
    tls_key: Path | None = Field(default=None, description="PEM file of the certificate's key.")

    @field_validator("account", "balance", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return split(value)

    @field_validator("account")
    @classmethod
    def _valid_accounts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if not _ACCOUNT.fullmatch(name):
                raise ValueError(f"{name!r} must be up to 64 letters, digits and dashes")
        if len(set(value)) < len(value):
            raise ValueError("an account is named twice")
        return value

    @field_validator("balance")
    @classmethod
    def _valid_balances(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            _balance(text)
        if len({_balance(text)[0] for text in value}) < len(value):
            raise ValueError("an asset is named twice")
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("--tls-cert and --tls-key go together")
        if self.aliases and self.dialect is not DialectName.COINBASE:
            raise ValueError("--aliases needs --dialect coinbase")
        if self.market_start is not None and self.market is None:
            raise ValueError("--market-start needs --market")
        if self.port and self.port == self.control_port and self._is_local():
            raise ValueError("--port and --control-port must differ")
        return self

    def balances(self) -> dict[str, Decimal]:
        """Return the balances of each new account."""
        return dict(map(_balance, self.balance or _DEFAULT_BALANCES[self.dialect]))

    def _is_local(self) -> bool:
        try:
            address = ip_address(self.host)
        except ValueError:
            return True
        return address.is_loopback or address.is_unspecified


def _balance(text: str) -> tuple[str, Decimal]:
    asset, equals, amount = text.partition("=")
    if not (equals and asset.isascii() and asset.isalnum() and asset == asset.upper()):
        raise ValueError(f"{text!r} is not ASSET=AMOUNT, such as USDT=10000")
    try:
        value = Decimal(amount)
    except InvalidOperation:
        raise ValueError(f"{amount!r} is not an amount") from None
    if not value.is_finite() or not 0 <= value <= _LARGEST or value != round(value, 8):
        raise ValueError(f"{amount!r} must be from 0 to 1e9, with 8 places at most")
    if len(asset) > _ASSET_LENGTH:
        raise ValueError(f"{asset!r} is longer than {_ASSET_LENGTH} characters")
    return asset, value
