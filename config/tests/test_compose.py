"""compose.yaml is a valid Compose file, and fits the code that it starts.

Docker is not available where these tests run, so nothing is started.
"""

import json
import re
import subprocess
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator, validators
from rendered import kustomized, of_kind
from tradingbot_exchange.settings import ExchangeSettings

ROOT = Path(__file__).parents[2]
SCRIPT = (ROOT / "hack" / "kind" / "up.sh").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
EXCHANGES = ("binance", "coinbase")


def settings_of(name: str) -> ExchangeSettings:
    command, *flags = SERVICES[name]["command"]
    assert command == "exchange"
    given = dict(flag.removeprefix("--").split("=", 1) for flag in flags)
    return ExchangeSettings.model_validate(given)


def schema() -> dict[str, Any]:
    """Return the JSON schema of the Compose specification."""
    vendored = files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    found: dict[str, Any] = json.loads(vendored.read_text())
    return found


def problems(document: dict[str, Any]) -> list[str]:
    validator = validators.validator_for(schema(), Draft202012Validator)(schema())
    return [error.message for error in validator.iter_errors(document)]


def test_the_file_is_valid_by_the_compose_specification() -> None:
    assert problems(COMPOSE) == []
    wrong = {**SERVICES["kind"], "port": ["8090:8090"]}
    assert problems({"services": {"kind": wrong}}), "the schema refuses unknown members"


@pytest.mark.parametrize("name", EXCHANGES)
def test_an_exchange_starts_with_these_flags(name: str) -> None:
    settings = settings_of(name)
    assert settings.dialect.value == name
    (published,) = SERVICES[name]["ports"]
    assert published.endswith(f":{settings.port}")
    assert f"127.0.0.1:{settings.control_port}/market" in str(SERVICES[name]["healthcheck"])
    assert str(settings.keys).startswith("/keys/")


def test_the_cluster_is_in_the_network_of_the_exchanges() -> None:
    (network,) = COMPOSE["networks"]
    assert COMPOSE["networks"][network]["name"] == network
    assert all(service["networks"] == [network] for service in SERVICES.values())
    assert SERVICES["kind"]["environment"]["KIND_EXPERIMENTAL_DOCKER_NETWORK"] == network


def test_every_service_has_a_health_check_and_is_published_on_loopback_only() -> None:
    for name, service in SERVICES.items():
        assert service["healthcheck"]["test"][0] == "CMD", name
        assert all(port.startswith("127.0.0.1:") for port in service["ports"]), name


def test_the_script_gives_each_demo_bot_its_keys_and_the_address_of_its_exchange() -> None:
    assert "kubectl kustomize config/samples/demo-cluster" in SCRIPT
    for name, bot in of_kind(kustomized("samples/demo-cluster"), "TradingBot").items():
        exchange = bot["spec"]["exchange"]
        dialect = exchange["name"].lower()
        accounts = re.findall(rf"secret_of (\S+) /keys/{dialect}", SCRIPT)
        assert f"--account={','.join(accounts)}" in SERVICES[dialect]["command"]
        assert f"secret_of {name} /keys/{dialect}.yaml" in SCRIPT
        assert exchange["apiKeySecret"] == f"{name}-keys"
        assert exchange["baseURL"] == f"http://{dialect}:{settings_of(dialect).port}"


def test_the_script_is_a_shell_script() -> None:
    script = ROOT / "hack" / "kind" / "up.sh"
    subprocess.run(["sh", "-n", str(script)], check=True)
