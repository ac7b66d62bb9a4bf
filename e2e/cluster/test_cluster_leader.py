"""The operator's leader is evicted, as by the drain of a node: the other one takes over."""

import json

from installation import Installation, await_ready
from person import Person, eventually, sample, sample_bot
from real_bots import BOT, image_of
from tradingbot_dev.control_plane.plane import SYSTEM_NAMESPACE

LEASE = f"/apis/coordination.k8s.io/v1/namespaces/{SYSTEM_NAMESPACE}/leases/tradingbot-operator"
TAKEN_OVER_WITHIN = 15.0


def leader(product: Installation) -> str:
    """The name of the pod that holds the lease; empty if none does."""
    answer = product.node.plane.client.get(LEASE)
    assert answer is not None
    assert answer.status == 200, answer.body
    holder = answer.json()["spec"].get("holderIdentity") or ""
    names = (pod["metadata"]["name"] for pod in product.pods("operator"))
    return next((name for name in names if holder.startswith(name)), "")


def evict(product: Installation, pod: str) -> int:
    """The answer's status code: 201 if it was let go, 429 if the budget forbids it now."""
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod, "namespace": SYSTEM_NAMESPACE},
    }
    path = f"/api/v1/namespaces/{SYSTEM_NAMESPACE}/pods/{pod}/eviction"
    answer = product.node.plane.client.post(path, eviction)
    assert answer is not None
    assert answer.status in {201, 429}, json.loads(answer.body)
    return answer.status


def test_the_other_operator_takes_over_and_the_budget_keeps_one(
    product: Installation, person: Person
) -> None:
    await_ready(product, SYSTEM_NAMESPACE)
    before = leader(product)
    assert before
    (other,) = {pod["metadata"]["name"] for pod in product.pods("operator")} - {before}
    assert evict(product, before) == 201
    # Its replacement is not ready yet: the last one that is must stay.
    assert evict(product, other) == 429
    eventually(lambda: leader(product) not in {"", before}, seconds=TAKEN_OVER_WITHIN)
    person.applied(sample("secret.yaml"), image_of(sample_bot()))
    person.await_phase(BOT, "Running")
    await_ready(product, SYSTEM_NAMESPACE)
    assert evict(product, other) == 201
