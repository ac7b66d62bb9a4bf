"""Objects that a tenant writes to harm others: each costs that object at most, and nobody else.

All is done for real, on the real API server: what a tenant may write with `edit` in a namespace.
"""

import json
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from deep_fields import plant
from person import Person, eventually, named_bot, sample
from tradingbot_dev.control_plane.apiclient import http_answer
from tradingbot_dev.control_plane.ports import Ports
from tradingbot_dev.product.system import OPERATOR, System
from writes import delete_object

ATTACKED, OTHER = "attacked", "other"
DEPTHS = (300, 1200)
FLOOD = 60
LARGE = 900_000
FLOOD_MB = 40.0
"""Three quarters of the flood: an operator that held it would need more. It needs 20."""
OPERATOR_LABEL = {"app.kubernetes.io/managed-by": "tradingbot-operator"}
SECOND = "operator-hostile"


@pytest.fixture
def tenants(person: Person) -> Person:
    """Two running bots."""
    person.applied(sample("secret.yaml"), named_bot(ATTACKED), named_bot(OTHER))
    for name in (ATTACKED, OTHER):
        person.await_phase(name, "Running")
    return person


def pause(person: Person, name: str, *, paused: bool = True) -> None:
    person.patched("tradingbot", name, {"spec": {"paused": paused}})
    person.await_phase(name, "Paused" if paused else "Running")


def goes_on(person: Person) -> None:
    """One bot is paused and resumed, and a child of each that is deleted comes back."""
    pause(person, OTHER)
    pause(person, OTHER, paused=False)
    for name in (OTHER, ATTACKED):
        person.deleted("service", name)
        eventually(lambda name=name: person.get("service", name))  # type: ignore[misc]


@pytest.mark.parametrize("depth", DEPTHS)
def test_deep_managed_fields_change_nothing(tenants: Person, depth: int) -> None:
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "planted", "labels": {**OPERATOR_LABEL, "trading.io/bot": "none"}},
    }
    tenants.applied(config)
    plant(tenants, "tradingbot", ATTACKED, "trading.io/v1", depth)
    plant(tenants, "deployment", ATTACKED, "apps/v1", depth)
    for name in ("planted", f"{ATTACKED}-config"):
        plant(tenants, "configmap", name, "v1", depth)
    goes_on(tenants)
    # They are there when an operator starts, too.
    plant(tenants, "tradingbot", ATTACKED, "trading.io/v1", depth)
    plant(tenants, "configmap", "planted", "v1", depth)
    tenants.system.restart(OPERATOR)
    goes_on(tenants)
    assert tenants.metric("tradingbot_operator_unreadable_objects") == 0


def test_a_standby_becomes_ready_beside_deep_objects_and_obeys_a_stop(tenants: Person) -> None:
    system = tenants.system
    plant(tenants, "tradingbot", ATTACKED, "trading.io/v1", 1200)
    port = Ports.free().operator_health
    settings = {"TRADINGBOT_OPERATOR_LEADER_ELECTION": "true"}
    system.start_another_operator(SECOND, health_port=port, settings=settings)
    try:
        eventually(lambda: ready(port))
        identity = system.plane.table.running(SECOND)
        assert identity is not None
        identity.send(signal.SIGTERM)
        eventually(lambda: system.plane.table.running(SECOND) is None)
    finally:
        system.plane.table.kill(SECOND)


def ready(port: int) -> bool:
    answer = http_answer(port, "/readyz")
    return answer is not None and answer.status == 200


def resident_mb(system: System) -> float:
    identity = system.plane.table.running(OPERATOR)
    assert identity is not None
    status = Path(f"/proc/{identity.pid}/status").read_text(encoding="ascii")
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(peak.split()[1]) / 1024


@pytest.fixture
def flooded(tenants: Person) -> Iterator[Person]:
    """All of the flood is gone afterwards."""
    yield tenants
    # One by one: kubectl, and a deletion of the collection, read all of them first.
    for number in range(FLOOD):
        with suppress(AssertionError):  # a test that failed has not made all of them
            delete_object(tenants.system.plane, tenants.namespace, "configmap", flooding(number))


def flooding(number: int) -> str:
    return f"flood-{number}-config"


def flood(person: Person) -> None:
    """What a tenant may do in a minute: large ConfigMaps that look like those of bots."""

    def create(number: int) -> int:
        obj = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": flooding(number),
                "labels": {**OPERATOR_LABEL, "trading.io/bot": f"flood-{number}"},
            },
            "data": {"bot.json": json.dumps({"junk": f"{number}" + "x" * LARGE})},
        }
        path = f"/api/v1/namespaces/{person.namespace}/configmaps"
        answer = person.system.plane.client.post(path, obj)
        return 0 if answer is None else answer.status

    with ThreadPoolExecutor(4) as workers:
        assert set(workers.map(create, range(FLOOD))) == {201}


def test_a_flood_of_large_config_maps_is_not_held(flooded: Person) -> None:
    system = flooded.system
    system.restart(OPERATOR)
    goes_on(flooded)
    before = resident_mb(system)
    flood(flooded)
    goes_on(flooded)
    assert resident_mb(system) < before + FLOOD_MB
    system.restart(OPERATOR)
    goes_on(flooded)
    assert resident_mb(system) < before + FLOOD_MB
