"""`tradingbot-strategies run`: run the bot that bot.json describes."""

import argparse


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of this command."""


def run(options: argparse.Namespace) -> int:
    """Run until SIGTERM."""
    raise NotImplementedError
