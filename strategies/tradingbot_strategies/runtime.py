"""A bot's process: the page for the operator, the trading loop, and an orderly end."""

import asyncio
import logging
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from aiohttp import web
from tradingbot_api.pod_parts import BASE_URL_ENV

from tradingbot_strategies.calls import Calls
from tradingbot_strategies.catalog import strategy
from tradingbot_strategies.config_file import ConfigFile
from tradingbot_strategies.connect import connect
from tradingbot_strategies.errors import ConfigError
from tradingbot_strategies.exchange import ExchangeError
from tradingbot_strategies.page import application
from tradingbot_strategies.state_files import HaltFile
from tradingbot_strategies.trader import Trader

logger = logging.getLogger(__name__)

IDLE_SECONDS = 1.0
"""Between two turns if nothing was sent."""
BUSY_SECONDS = 0.05
LONGEST_PAUSE = 10.0
"""Between two attempts while the exchange does not answer."""
STOP_SECONDS = 25.0
"""What an end takes at most: the operator allows 30 s by default."""
UNKNOWN_SECONDS = 10.0
"""After so long without known figures, entry orders are cancelled if that is possible."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a process is told."""

    config: Path
    state: Path
    host: str
    """To listen on; empty: all addresses."""
    port: int
    paper_money: Decimal


class Bot:
    """One process. `run` returns when it has been told to end."""

    def __init__(
        self, options: Options, environment: Mapping[str, str], clock: Callable[[], int]
    ) -> None:
        """Read bot.json. Raises ConfigError or ParametersError."""
        self._options, self._environment, self._clock = options, environment, clock
        self._file = ConfigFile(options.config)
        config = self._file.config
        self._strategy = strategy(config.strategy.type, config.strategy.parameters)
        self._trader: Trader | None = None
        self._calls: Calls | None = None
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Serve and trade until SIGTERM or SIGINT. Raises ConfigError if that is impossible."""
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stopping.set)
        runner = web.AppRunner(
            application(lambda: self._trader.report if self._trader else None, self._clock),
            access_log=None,
        )
        await runner.setup()
        try:
            # A gateway in the pod has this port, and reports what it has counted itself.
            if not self._environment.get(BASE_URL_ENV):
                await web.TCPSite(runner, self._options.host or None, self._options.port).start()
            await self._start()
            await self._trade()
            await self._end()
        except OSError as error:
            raise ConfigError(f"cannot listen on port {self._options.port}: {error}") from error
        finally:
            await runner.cleanup()
            if self._calls is not None:
                await self._calls.close()

    async def _start(self) -> None:
        """Connect and read what the exchange knows, as often as necessary."""
        pause = IDLE_SECONDS
        while not self._stopping.is_set():
            try:
                self._trader = await self._connected()
            except ExchangeError as error:
                if "AuthenticationError" in str(error):
                    raise ConfigError(f"the exchange refuses the API key: {error}") from error
                logger.warning("cannot start yet: %s", error)
                await self._pause(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                return

    async def _connected(self) -> Trader:
        config, options = self._file.config, self._options
        if self._calls is not None:
            await self._calls.close()
        exchange, self._calls = await connect(
            config,
            self._environment,
            asset=self._strategy.needs.money,
            paper_money=options.paper_money,
            state=options.state,
            clock=self._clock,
        )
        trader = Trader(
            exchange,
            self._strategy,
            config,
            halts=HaltFile(options.state / f"{config.namespace}.{config.name}.halted"),
            started=self._clock(),
            clock=self._clock,
        )
        await trader.start()
        logger.info("%s trades %s", config.strategy.type, ", ".join(trader.symbols))
        return trader

    async def _trade(self) -> None:
        pause, known = IDLE_SECONDS, self._clock()
        while self._trader is not None and not self._stopping.is_set():
            if self._file.changed():
                self._trader.configure(self._file.config)
            try:
                busy = await self._trader.turn()
            except ExchangeError as error:
                logger.warning("the figures are unknown: %s", error)
                if self._clock() - known > UNKNOWN_SECONDS * 1000:
                    await self._trader.withdraw_entries()
                await self._pause(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                pause, known = IDLE_SECONDS, self._clock()
                await self._pause(BUSY_SECONDS if busy else IDLE_SECONDS)

    async def _end(self) -> None:
        """Leave nothing at the exchange that could open a position."""
        if self._trader is None:
            return
        logger.info("stopping: entry orders are cancelled, protective orders stay")
        try:
            async with asyncio.timeout(STOP_SECONDS):
                while True:
                    try:
                        await self._trader.stop()
                    except ExchangeError as error:
                        logger.warning("not stopped yet: %s", error)
                        await asyncio.sleep(BUSY_SECONDS * 5)
                    else:
                        logger.info("stopped")
                        return
        except TimeoutError:
            logger.error("stopped without knowing that every entry order is cancelled")  # noqa: TRY400

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
