"""The whole system on a real control plane."""

import sys
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

import pytest
from person import Person
from reads import create_namespace, delete_all
from simulated_bots import SimulatedBots
from tradingbot_dev.product.system import System, temporary_system

# The corpus, and the way to the API server that its tests take.
sys.path.append(str(Path(__file__).parent.parent / "api" / "tests"))


@pytest.fixture(scope="session")
def bots() -> Iterator[SimulatedBots]:
    """What runs in the bots' pods: they report what they are told, with the hash they are given."""
    with SimulatedBots() as simulated:
        yield simulated


@pytest.fixture(scope="session")
def system(bots: SimulatedBots) -> Iterator[System]:
    """The whole product, shared by all tests; one that stops a process starts it again."""
    settings = {
        "TRADINGBOT_OPERATOR_RISK_URL": bots.risk_url,
        "TRADINGBOT_OPERATOR_RISK_INTERVAL": "0.5",
        "TRADINGBOT_OPERATOR_CREDENTIALS_INTERVAL": "3",
    }
    with temporary_system(environment=settings) as running:
        yield running


@pytest.fixture
def person(system: System, request: pytest.FixtureRequest) -> Iterator[Person]:
    """Somebody with a namespace of their own, in which nothing is left running."""
    namespace = f"t{crc32(request.node.nodeid.encode())}"
    someone = Person(system, namespace, began=system.plane.audit_length())
    create_namespace(system.plane, namespace)
    yield someone
    delete_all(system.plane, namespace, "tradingbot,assetregistry")
