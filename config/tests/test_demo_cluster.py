"""The demo in a cluster: each bot asks an exchange that is there and has an account for it."""

from urllib.parse import urlsplit

import pytest
from rendered import Object, kustomized, of_kind

OBJECTS = kustomized("samples/demo-cluster")
BOTS = list(of_kind(OBJECTS, "TradingBot").values())
EXCHANGES = of_kind(OBJECTS, "Deployment")
SERVICES = of_kind(OBJECTS, "Service")


def arguments(exchange: Object) -> dict[str, str]:
    (container,) = exchange["spec"]["template"]["spec"]["containers"]
    command, *flags = container["args"]
    assert command == "exchange"
    return dict(flag.removeprefix("--").split("=") for flag in flags)


@pytest.mark.parametrize("bot", BOTS, ids=lambda bot: bot["metadata"]["name"])
def test_each_bot_has_an_account_at_the_exchange_that_it_asks(bot: Object) -> None:
    name, asked = bot["metadata"]["name"], bot["spec"]["exchange"]
    place = urlsplit(asked["baseURL"])
    flags = arguments(EXCHANGES[str(place.hostname)])
    assert flags["dialect"] == asked["name"].lower()
    assert name in flags["account"].split(",")
    assert asked["apiKeySecret"] == f"{name}-keys"  # as secrets.py names it
    assert bot["spec"]["mode"] == "Paper"
    (port,) = SERVICES[str(place.hostname)]["spec"]["ports"]
    assert port["port"] == place.port


def test_all_accounts_are_of_bots_and_services_choose_the_pods() -> None:
    accounts = [
        account
        for exchange in EXCHANGES.values()
        for account in arguments(exchange)["account"].split(",")
    ]
    assert sorted(accounts) == sorted(bot["metadata"]["name"] for bot in BOTS)
    assert SERVICES.keys() == EXCHANGES.keys()
    for name, exchange in EXCHANGES.items():
        labels = exchange["spec"]["template"]["metadata"]["labels"]
        assert SERVICES[name]["spec"]["selector"].items() <= labels.items()
