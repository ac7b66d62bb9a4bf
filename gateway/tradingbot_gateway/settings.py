"""The settings of the gateway."""

import re
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from tradingbot_api.contract import BotExchange
from tradingbot_exchange.market.symbols import DialectName
from tradingbot_exchange.setting_lists import split

from tradingbot_gateway.credentials import PLACEHOLDER

_ADDRESS = re.compile(r"(?P<host>[^:\s\[\]]+|\[[0-9a-fA-F:.]+\]):(?P<port>[0-9]{1,5})")
_ASSET = re.compile(r"[A-Z0-9]{1,20}")
_SYMBOL = re.compile(r"[A-Z0-9]{1,20}-[A-Z0-9]{1,20}")
_LARGEST = Decimal(10**12)
_PORTS = 65536


class GatewaySettings(BaseSettings):
    """Settings of `tradingbot gateway`: flags, or `TRADINGBOT_GATEWAY_*` variables.

    The exchange's keys are not among them: see `credentials`.
    """

    model_config = SettingsConfigDict(
        env_prefix="TRADINGBOT_GATEWAY_", frozen=True, hide_input_in_errors=True
    )

    config: Path = Field(
        default=Path("/etc/tradingbot/bot.json"), description="bot.json; read again as it changes."
    )
    dialect: DialectName = Field(
        default=DialectName.BINANCE, description="Whose API to speak. Only binance yet."
    )
    listen: str = Field(
        default="127.0.0.1:8081", description="HOST:PORT for the bot. Port 0 takes a free one."
    )
    report_listen: str = Field(
        default="0.0.0.0:8080",
        description="HOST:PORT for GET /risk, /healthz, /readyz and /metrics.",
    )
    drain_listen: str = Field(
        default="0.0.0.0:8082",
        description="HOST:PORT for GET /drain, which ends entries until the process ends.",
    )
    api_key_file: Path | None = Field(
        default=None, description="File of the exchange's API key; else EXCHANGE_API_KEY."
    )
    api_secret_file: Path | None = Field(
        default=None, description="File of its secret; else EXCHANGE_API_SECRET."
    )
    placeholder_key: str = Field(
        default=PLACEHOLDER, min_length=1, max_length=128, description="API key that the bot has."
    )
    placeholder_secret: SecretStr = Field(
        default=SecretStr(PLACEHOLDER),
        description="Secret that the bot signs with. It opens nothing but this gateway.",
    )
    state: Path | None = Field(
        default=None,
        description="File of the ledger, kept over a restart. By default the ledger is rebuilt from"
        " what the exchange still knows.",
    )
    proxy_url: SecretStr | None = Field(
        default=None, description="HTTP proxy on the way to the exchange; may have a password."
    )
    ca_bundle: Path | None = Field(
        default=None, description="PEM file of authorities that are trusted beside the system's."
    )
    quote_currency: str = Field(
        default="USDT", description="Currency of all limits and figures, such as USDT."
    )
    allowed_symbols: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Symbols that may be entered, as BTC-USDT, with commas between them. By default"
        " all in the quote currency.",
    )
    price_collar_percentage: Decimal = Field(
        default=Decimal(5),
        gt=0,
        le=100,
        description="How far beyond the market an entry may trade, in percent.",
    )
    max_orders_per_minute: int = Field(
        default=60, ge=1, le=100_000, description="Entries within 60 seconds."
    )
    paper_balance: Annotated[tuple[str, ...], NoDecode] = Field(
        default=("USDT=10000",),
        description="ASSET=AMOUNT of the account in mode Paper, with commas between them.",
    )

    @field_validator("allowed_symbols", "paper_balance", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return split(value)

    @field_validator("listen", "report_listen", "drain_listen")
    @classmethod
    def _is_address(cls, value: str) -> str:
        address(value)
        return value

    @field_validator("quote_currency")
    @classmethod
    def _is_asset(cls, value: str) -> str:
        if _ASSET.fullmatch(value) is None:
            raise ValueError(f"{value!r} is not an asset, such as USDT")
        return value

    @field_validator("allowed_symbols")
    @classmethod
    def _are_symbols(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            if _SYMBOL.fullmatch(text) is None:
                raise ValueError(f"{text!r} is not BASE-QUOTE, such as BTC-USDT")
        return value

    @field_validator("paper_balance")
    @classmethod
    def _are_balances(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            _balance(text)
        return value

    @model_validator(mode="after")
    def _speaks_the_dialect(self) -> Self:
        if self.dialect is not DialectName.BINANCE:
            raise ValueError("--dialect: only binance is supported yet")
        return self

    def with_defaults_of(self, exchange: BotExchange) -> Self:
        """Return the settings with what bot.json says of the account, where no flag says it."""
        found: dict[str, object] = {}
        if exchange.quote_currency is not None:
            found["quote_currency"] = exchange.quote_currency
        if exchange.paper_balance is not None:
            balances = (f"{each.asset}={each.amount}" for each in exchange.paper_balance)
            found["paper_balance"] = tuple(balances)
        left = {name: found[name] for name in found.keys() - self.model_fields_set}
        return self.model_copy(update=left)

    def balances(self) -> dict[str, Decimal]:
        """Return the balances of the account in mode Paper."""
        return dict(map(_balance, self.paper_balance))


def address(text: str) -> tuple[str, int]:
    """Return host and port. Raises ValueError."""
    found = _ADDRESS.fullmatch(text)
    if found is None or int(found["port"]) >= _PORTS:
        raise ValueError(f"{text!r} is not HOST:PORT, such as 127.0.0.1:8081")
    return found["host"].strip("[]"), int(found["port"])


def _balance(text: str) -> tuple[str, Decimal]:
    asset, equals, amount = text.partition("=")
    if not equals or _ASSET.fullmatch(asset) is None:
        raise ValueError(f"{text!r} is not ASSET=AMOUNT, such as USDT=10000")
    try:
        value = Decimal(amount)
    except InvalidOperation:
        raise ValueError(f"{amount!r} is not an amount") from None
    if not value.is_finite() or not 0 <= value <= _LARGEST or value != round(value, 8):
        raise ValueError(f"{amount!r} must be from 0 to 1e12, with 8 places at most")
    return asset, value
