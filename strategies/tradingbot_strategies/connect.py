"""Where a bot's orders go, by `mode` and `exchange` of bot.json. The one user of ccxt.

- Live: to the exchange.
- Paper: to the exchange too if it says that it is a simulated one, because there is no money there;
  an exchange that does not say so gets no order, and the engine in this process fills them against
  its quotes. Only an address in `exchange.baseURL` is asked.
"""

import logging
import os
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
from tradingbot_api.contract import BotConfig
from tradingbot_api.gateway_pod import KEY_FILE_ENV, SECRET_FILE_ENV
from tradingbot_api.pod_parts import BASE_URL_ENV
from tradingbot_api.tradingbot import Mode

from tradingbot_strategies.binance import Binance
from tradingbot_strategies.calls import Calls
from tradingbot_strategies.coinbase import Coinbase
from tradingbot_strategies.errors import ConfigError
from tradingbot_strategies.exchange import Exchange, UnavailableError
from tradingbot_strategies.paper import PaperExchange
from tradingbot_strategies.state_files import PaperFile

logger = logging.getLogger(__name__)

SIMULATED = "X-Tradingbot-Simulated"
"""Header of every answer of a simulated exchange, with the value `true`."""

API_KEY, API_SECRET = "EXCHANGE_API_KEY", "EXCHANGE_API_SECRET"
TIMEOUT_MS = 5000
_ASK_TIMEOUT = aiohttp.ClientTimeout(total=5)
_PATHS = ("/api/v3/brokerage", "/api/v3")
"""At the end of a base URL; the client adds them itself."""

Adapter = type[Binance] | type[Coinbase]


async def connect(
    config: BotConfig,
    environment: Mapping[str, str],
    *,
    asset: str,
    paper_money: Decimal,
    state: Path,
    clock: Callable[[], int],
) -> tuple[Exchange, Calls]:
    """Return the exchange of a bot, and its calls, which are to be closed.

    Raises ConfigError, and UnavailableError if a simulated exchange can't be asked.
    """
    config = behind_gateway(config, environment)
    sends = config.mode is Mode.LIVE or await says_simulated(config.exchange.base_url)
    keys = _keys(environment) if sends else {}
    adapter, client = _client(config, keys)
    calls = Calls(client)
    exchange = adapter(calls, clock=clock, has_keys=sends)
    if sends:
        logger.info("orders are sent to %s", config.exchange.base_url or config.exchange.name)
        return exchange, calls
    logger.info("orders are simulated here, against the quotes of %s", config.exchange.name)
    store = PaperFile(state / f"{config.namespace}.{config.name}.paper.json")
    paper = PaperExchange(exchange, asset=asset, money=paper_money, store=store, clock=clock)
    return paper, calls


def behind_gateway(config: BotConfig, environment: Mapping[str, str]) -> BotConfig:
    """Return the configuration with the address of the risk gateway, if the pod has one."""
    url = environment.get(BASE_URL_ENV)
    if not url:
        return config
    exchange = config.exchange.model_copy(update={"base_url": url})
    return config.model_copy(update={"exchange": exchange})


async def says_simulated(base_url: str | None) -> bool:
    """Whether the exchange at an address says that it is simulated. Raises UnavailableError."""
    if base_url is None:
        return False
    try:
        async with (
            aiohttp.ClientSession(trust_env=True, timeout=_ASK_TIMEOUT) as session,
            session.get(root_of(base_url) + "/api/v3/time", allow_redirects=False) as answer,
        ):
            return answer.headers.get(SIMULATED) == "true"
    except (aiohttp.ClientError, TimeoutError) as error:
        raise UnavailableError(f"no answer from {base_url}: {type(error).__name__}") from error


def root_of(base_url: str) -> str:
    """Return a base URL without the path of the API and without a slash at its end."""
    root = base_url.rstrip("/")
    for path in _PATHS:
        root = root.removesuffix(path)
    return root


def _keys(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the key and its secret. Those that a gateway hands over are in files."""
    files = [environment.get(name) for name in (KEY_FILE_ENV, SECRET_FILE_ENV)]
    if all(files):
        try:
            key, secret = (Path(str(file)).read_text(encoding="utf-8") for file in files)
        except OSError as error:
            raise ConfigError(f"cannot read {error.filename}: {error.strerror}") from error
        return {"apiKey": key, "secret": secret}
    if missing := [name for name in (API_KEY, API_SECRET) if not environment.get(name)]:
        raise ConfigError(f"the environment has no {' and no '.join(missing)}")
    return {"apiKey": environment[API_KEY], "secret": environment[API_SECRET]}


def _client(config: BotConfig, keys: Mapping[str, str]) -> tuple[Adapter, Any]:
    try:
        from ccxt import async_support as ccxt  # noqa: PLC0415 - takes 100 MB and half a second
    except ImportError as error:
        raise ConfigError(
            "ccxt is not installed: install the requirements in strategies/requirements.txt"
        ) from error
    common: dict[str, Any] = {**keys, "timeout": TIMEOUT_MS, "aiohttp_trust_env": True}
    if bundle := os.environ.get("SSL_CERT_FILE"):
        common["cafile"] = bundle
    root = root_of(config.exchange.base_url) if config.exchange.base_url else None
    if config.exchange.name == "Binance":
        client = ccxt.binance({**common, "options": {"recvWindow": TIMEOUT_MS}})
        if root is not None:
            api = f"{root}/api/v3"
            client.urls["api"] |= {"public": api, "private": api, "sapi": f"{root}/sapi/v1"}
        return Binance, client
    if config.exchange.name == "Coinbase":
        client = ccxt.coinbase(common)
        if root is not None:
            client.urls["api"] |= {"rest": root}
        return Coinbase, client
    raise ConfigError(f"exchange.name {config.exchange.name} is not supported by these strategies")
