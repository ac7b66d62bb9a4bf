"""The settings of the gateway."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from tradingbot_exchange.market.symbols import DialectName

from tradingbot_gateway.credentials import PLACEHOLDER

_ADDRESS = re.compile(r"(?P<host>[^:\s\[\]]*|\[[0-9a-fA-F:.]+\]):(?P<port>[0-9]{1,5})")
_PORTS = 65536


@dataclass(frozen=True, slots=True)
class Egress:
    """How the exchange is reached. A proxy's URL may hold a password."""

    proxy: str | None = field(default=None, repr=False)
    ca_bundle: Path | None = None


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
        default=DialectName.BINANCE, description="Whose API to speak: binance or coinbase."
    )
    listen: str = Field(
        default="127.0.0.1:8081", description="HOST:PORT for the bot. Port 0 takes a free one."
    )
    report_listen: str = Field(
        default=":8080",
        description="HOST:PORT for GET /risk, /healthz, /readyz and /metrics. Without HOST: all"
        " addresses, IPv4 and IPv6.",
    )
    drain_listen: str = Field(
        default=":8082",
        description="HOST:PORT for GET /drain, which ends entries until the process ends.",
    )
    grant_file: Path | None = Field(
        default=None,
        description="File with the operator's grant of entries, which the kubelet writes. Without"
        " this setting, entries need no grant.",
    )
    pod_uid: str = Field(default="", description="UID of the pod that the grant must name.")
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
    handover: Path | None = Field(
        default=None,
        description="Directory that is shared with the bot, best in memory. With the dialect"
        " coinbase, which needs it, each start writes ca.crt, api-key and api-secret there.",
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

    @field_validator("listen", "report_listen", "drain_listen")
    @classmethod
    def _is_address(cls, value: str) -> str:
        address(value)
        return value

    def egress(self) -> Egress:
        """Return the way to the exchange."""
        proxy = self.proxy_url
        return Egress(None if proxy is None else proxy.get_secret_value(), self.ca_bundle)


def address(text: str) -> tuple[str, int]:
    """Return host and port; an empty host means all addresses. Raises ValueError."""
    found = _ADDRESS.fullmatch(text)
    if found is None or int(found["port"]) >= _PORTS:
        raise ValueError(f"{text!r} is not HOST:PORT, such as 127.0.0.1:8081")
    return found["host"].strip("[]"), int(found["port"])
