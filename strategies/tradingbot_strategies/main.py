"""The command `tradingbot-strategies`: run a bot, or test a strategy on past prices."""

import argparse
import os
import sys
from collections.abc import Sequence

from tradingbot_exchange.errors import ExchangeError

from tradingbot_strategies.errors import StrategiesError, UsageError

_PROGRAM = "tradingbot-strategies"
_FAILED, _USAGE = 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command in `arguments` (`sys.argv` if None) and return the exit code."""
    parser = argparse.ArgumentParser(
        prog=_PROGRAM, description="Trading strategies: examples, not promises of profit."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    from tradingbot_strategies import backtest_command, run_command  # noqa: PLC0415

    run_command.add_flags(commands.add_parser("run", help="Run the bot that bot.json describes"))
    backtest_command.add_flags(
        commands.add_parser("backtest", help="Run a strategy over a file of candles")
    )
    options = parser.parse_args(arguments)
    try:
        if options.command == "backtest":
            print(backtest_command.backtest(options), flush=True)
            return 0
        return run_command.run(options)
    except (StrategiesError, ExchangeError) as error:
        print(f"{_PROGRAM}: error: {error}", file=sys.stderr)
        return _USAGE if isinstance(error, UsageError) else _FAILED
    except BrokenPipeError:  # the reader has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        return 130
