"""The machine loses power and comes back: so does everything, by itself, with its data."""

from datetime import UTC, datetime

from installation import REGISTRY_AUDIENCE, Installation
from person import Person, eventually
from reads import read_items
from real_bots import BOT, running_bot, take_up_a_lower_limit
from tradingbot_dev.control_plane.plane import SYSTEM_NAMESPACE

BACK_WITHIN = 180.0


def test_a_machine_that_lost_power_comes_back_with_everything(
    product: Installation, person: Person
) -> None:
    running_bot(person)
    before = eventually(lambda: assets(product, person.namespace))

    product.node.stop()
    began = datetime.now(UTC)
    product.node.start()

    for where in (SYSTEM_NAMESPACE, person.namespace):
        eventually(lambda where=where: all_run_since(product, began, where), seconds=BACK_WITHIN)
    # What was written before the outage proves nothing: the operator asks, and the bot answers.
    take_up_a_lower_limit(person)
    person.await_phase(BOT, "Running")
    assert assets(product, person.namespace) == before
    careless = '{"spec":{"riskManagement":{"stopLossPercentage":"150"}}}'
    refused = person.kubectl("patch", "tradingbot", BOT, "--type=merge", "-p", careless)
    assert refused.returncode != 0
    assert "must be greater than 0 and less than 100" in refused.stderr


def assets(product: Installation, namespace: str) -> dict[str, str]:
    """The ids of the namespace's assets in the registry, by name: they are given once."""
    token = product.token("tradingbot-operator", audience=REGISTRY_AUDIENCE)
    status, listed = product.ask_registry(f"assets?namespace={namespace}", token=token)
    assert status == 200
    return {one["name"]: one["id"] for one in listed}


def all_run_since(product: Installation, began: datetime, namespace: str) -> bool:
    """Whether every pod is ready with containers that were started after that."""
    pods = list(read_items(product.node.plane, namespace, "pods"))
    starts = [
        container["state"].get("running", {}).get("startedAt")
        for pod in pods
        for container in pod["status"].get("containerStatuses", [{"state": {}}])
    ]
    ready = [
        one["status"] == "True"
        for pod in pods
        for one in pod["status"].get("conditions", [])
        if one["type"] == "Ready"
    ]
    # To the second, as it is written down.
    since = began.replace(microsecond=0)
    return (
        bool(ready)
        and all(ready)
        and all(start is not None and datetime.fromisoformat(start) >= since for start in starts)
    )
