"""The exchange of a bot, and who has its keys: the bot, or a gateway beside it."""

from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from tradingbot_api.base_url import BASE_URL_FORM, base_url_problem
from tradingbot_api.constraints import Cel, DecimalText, NotNull, Text, cel, list_type
from tradingbot_api.model import Model, SecretKey, SecretName
from tradingbot_api.pod_parts import CaBundle, ProxyUrl

EXCHANGE_IS_IMMUTABLE = (
    "is immutable: open positions and credentials belong to one exchange; create another bot"
    " instead"
)


MAX_BALANCES = 20

Asset = Annotated[
    str,
    Text(
        "must be an asset such as USDT: capital letters and digits, at most 20",
        pattern=r"^[A-Z0-9]{1,20}$",
        max_length=20,
    ),
]
Symbol = Annotated[
    str,
    Text(
        "must be a symbol such as BTC-USDT: the asset that is traded, and the one that it is"
        " traded for",
        pattern=r"^[A-Z0-9]{1,20}-[A-Z0-9]{1,20}$",
        max_length=41,
    ),
]
Balance = Annotated[str, DecimalText(at_most=Decimal(10**12))]


DIALECT_IS_ANOTHERS = "must be the dialect of the exchange, or unset"
DIALECT_IS_OWN = Cel(
    "!has(self.dialect) || self.name == 'Custom' || self.dialect == self.name",
    f"dialect {DIALECT_IS_ANOTHERS}",
)


class ExchangeName(StrEnum):
    """Exchanges that are known by name; `Custom` takes a base URL."""

    BINANCE = "Binance"
    COINBASE = "Coinbase"
    CUSTOM = "Custom"


class Dialect(StrEnum):
    """APIs of exchanges that the risk gateway speaks."""

    BINANCE = "Binance"
    COINBASE = "Coinbase"


class Enforcement(StrEnum):
    """Who keeps the limits of a bot, and so has the keys of the exchange."""

    GATEWAY = "Gateway"
    BOT = "Bot"


class PaperBalance(Model):
    """An asset of the account in mode Paper."""

    asset: Asset = Field(description="The asset, such as USDT.")
    amount: Balance = Field(
        description="How much of it the account has when the bot starts for the first time, greater"
        " than 0."
    )


class Exchange(Model):
    """The exchange that the bot trades on, and the Secret with its credentials."""

    name: Annotated[
        ExchangeName,
        Field(strict=False),
        cel(Cel("self == oldSelf", EXCHANGE_IS_IMMUTABLE)),
    ] = Field(description="Exchange that the bot trades on. Immutable.")
    api_key_secret: SecretName = Field(
        description="Name of the Secret in the bot's namespace that holds the exchange"
        " credentials. Only the name is stored here, never a credential."
    )
    api_key_path: SecretKey = Field("api-key", description="Key in that Secret of the API key.")
    api_secret_path: SecretKey = Field(
        "api-secret", description="Key in that Secret of the API secret."
    )
    passphrase_path: Annotated[SecretKey | None, NotNull()] = Field(
        None,
        description="Key in that Secret of the API passphrase, for exchanges that have one. Unset:"
        " no passphrase.",
    )
    base_url: Annotated[
        str | None,
        NotNull(),
        Text(
            BASE_URL_FORM,
            pattern=r"^https?://[^/\s?#]+(/[^\s]*)?$",
            max_length=2048,
            sensitive=True,
            check=base_url_problem,
        ),
    ] = Field(
        None,
        alias="baseURL",
        description="Base URL of the exchange's API. Required for Custom; for other exchanges set"
        " it only to use another endpoint, such as a test network. https, or http in mode Paper.",
    )
    proxy_url: Annotated[ProxyUrl | None, NotNull()] = Field(
        None,
        alias="proxyURL",
        description="Egress proxy that the bot reaches its exchange through, an http or https URL"
        " without user and password such as http://proxy.example:3128: sets HTTPS_PROXY, and"
        " NO_PROXY to the cluster's own addresses.",
    )
    ca_bundle: Annotated[CaBundle | None, NotNull()] = Field(
        None,
        description="CA certificates that the bot trusts beside the system's, such as those of a"
        " proxy that inspects TLS, or of a private exchange: sets SSL_CERT_FILE,"
        " REQUESTS_CA_BUNDLE and NODE_EXTRA_CA_CERTS. A client that reads certificates from one"
        " file only, such as Python's requests, trusts no others: add the public CAs that it needs"
        " to the ConfigMap.",
    )
    dialect: Annotated[Dialect | None, NotNull(), Field(strict=False)] = Field(
        None,
        description="API that the exchange speaks. Required for Custom with"
        " riskManagement.enforcement: Gateway. Default: that of the exchange; computed, not"
        " stored, and shown in status.effective.",
    )
    quote_currency: Annotated[Asset | None, NotNull()] = Field(
        None,
        description="Currency of all limits and figures of the bot. Default: USDT for the dialect"
        " Binance, USD for Coinbase; computed, not stored, and shown in status.effective.",
    )
    paper_balance: Annotated[
        list[PaperBalance] | None,
        NotNull(),
        Field(max_length=MAX_BALANCES, min_length=1),
        list_type("map", key="asset"),
    ] = Field(
        None,
        description="What the account has when a bot in mode Paper starts for the first time, where"
        " the gateway simulates its orders (riskManagement.enforcement: Gateway). Must have the"
        " quote currency. Default: 10000 of the quote currency; computed, not stored, and shown in"
        " status.effective.",
    )

    @property
    def key_paths(self) -> dict[str, str]:
        """Return the keys of the Secret that the bot uses, by the field that names each."""
        keys = {
            "apiKeyPath": self.api_key_path,
            "apiSecretPath": self.api_secret_path,
            "passphrasePath": self.passphrase_path,
        }
        return {field: key for field, key in keys.items() if key is not None}
