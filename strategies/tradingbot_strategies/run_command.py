"""`tradingbot-strategies run`: run the bot that bot.json describes."""

import argparse
import asyncio
import logging
import os
import sys
import time
from pathlib import Path

from tradingbot_strategies.backtest_command import MAX_MONEY, positive
from tradingbot_strategies.runtime import Bot, Options

EPILOG = """The environment has EXCHANGE_API_KEY and EXCHANGE_API_SECRET. docs/bot-contract.md says
what the operator expects of a bot; this program is the reference for it."""

_HIGHEST_PORT = 65535


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of this command. Each has a variable, which a pod sets."""
    parser.epilog = EPILOG
    environment = os.environ
    parser.add_argument(
        "--config",
        type=Path,
        default=Path(environment.get("TRADINGBOT_CONFIG", "/etc/tradingbot/bot.json")),
        help="bot.json (TRADINGBOT_CONFIG)",
    )
    parser.add_argument(
        "--state",
        type=Path,
        default=Path(environment.get("TRADINGBOT_STATE", _state())),
        metavar="DIRECTORY",
        help="Where a halt and a simulated account are kept (TRADINGBOT_STATE; default: /data if"
        " it exists, else /tmp)",
    )
    parser.add_argument(
        "--host",
        default=environment.get("TRADINGBOT_RISK_HOST", ""),
        help="Address of GET /risk (TRADINGBOT_RISK_HOST; default: all)",
    )
    parser.add_argument(
        "--port",
        type=_port,
        default=environment.get("TRADINGBOT_RISK_PORT", "8080"),
        help="Port of GET /risk (TRADINGBOT_RISK_PORT; default: 8080, as the operator expects)",
    )
    parser.add_argument(
        "--paper-money",
        type=positive(MAX_MONEY),
        default=environment.get("TRADINGBOT_PAPER_MONEY", "10000"),
        metavar="AMOUNT",
        help="What a simulated account begins with (TRADINGBOT_PAPER_MONEY; default: 10000)",
    )


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or float(text) > _HIGHEST_PORT:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to 65535, not {text!r}")
    return int(text)


def run(options: argparse.Namespace) -> int:
    """Run until SIGTERM. Raises ConfigError or ParametersError."""
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
    )

    async def process() -> None:
        bot = Bot(
            Options(
                config=options.config,
                state=options.state,
                host=options.host,
                port=options.port,
                paper_money=options.paper_money,
            ),
            os.environ,
            lambda: time.time_ns() // 1_000_000,
        )
        await bot.run()

    asyncio.run(process())
    return 0


def _state() -> str:
    return "/data" if Path("/data").is_dir() else "/tmp"  # noqa: S108 - the pod's own
