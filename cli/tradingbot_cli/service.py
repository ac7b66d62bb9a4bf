"""The commands that run a process until it is stopped."""

from __future__ import annotations

import argparse
from typing import Any, NamedTuple

from tradingbot_cli import logs
from tradingbot_cli.flags import add_flags, load
from tradingbot_cli.main import SERVICES, imported


class Part(NamedTuple):
    """Settings class of a process, and the module of its `run(settings)`."""

    settings: str
    run: str


PARTS = {
    "operator": Part("tradingbot_operator.settings:OperatorSettings", "tradingbot_operator.main"),
    "webhooks": Part("tradingbot_webhooks.settings:WebhookSettings", "tradingbot_webhooks.server"),
    "registry": Part("tradingbot_registry.settings:RegistrySettings", "tradingbot_registry.server"),
    "certs": Part("tradingbot_certs.settings:CertSettings", "tradingbot_certs.main"),
    "exchange": Part("tradingbot_exchange.settings:ExchangeSettings", "tradingbot_exchange.server"),
    "gateway": Part("tradingbot_gateway.settings:GatewaySettings", "tradingbot_gateway.main"),
}


def run(name: str, arguments: list[str], *, epilog: str = "") -> int:
    """Run the part `name` with its settings from `arguments` and the environment.

    `epilog` is the end of its help.
    """
    part = PARTS[name]
    module, _, class_name = part.settings.partition(":")
    settings_class: Any = getattr(imported(module), class_name)
    parser = argparse.ArgumentParser(
        prog=f"tradingbot {name}",
        description=SERVICES[name] + ".",
        epilog=epilog,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_flags(parser.add_argument_group("settings"), settings_class)
    add_flags(parser.add_argument_group("logging"), logs.LogSettings)
    given = parser.parse_args(arguments)
    log_settings = load(logs.LogSettings, given)
    settings = load(settings_class, given)
    logs.configure(log_settings)
    imported(part.run).run(settings)
    return 0
