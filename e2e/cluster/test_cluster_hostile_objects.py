"""Objects that no parser takes, on a real node: a bot is stopped, and a new operator starts."""

from deep_fields import plant
from installation import Installation
from person import Person, eventually
from real_bots import BOT, running_bot

DEPTH = 1200
STOPPED_WITHIN = 45.0
"""Seconds: 30 for the decision and the writes, and what a bot takes to end by itself."""


def test_deep_managed_fields_keep_neither_a_bot_running_nor_an_operator_from_starting(
    product: Installation, person: Person
) -> None:
    running_bot(person)
    # Not on the bot: this cert-manager drops `matchConditions`, so the webhooks see a change of
    # metadata too, and deny it.
    for kind, name, api_version in (
        ("deployment", BOT, "apps/v1"),
        ("configmap", f"{BOT}-config", "v1"),
    ):
        plant(person, kind, name, api_version, DEPTH)
    kubectl = product.node.kubectl
    deployment = "deployment/tradingbot-operator"
    system = ("-n", "tradingbot-system")
    kubectl(*system, "rollout", "restart", deployment, check=True)
    kubectl(*system, "rollout", "status", deployment, "--timeout=120s", check=True)
    person.patched("tbot", BOT, {"spec": {"paused": True}})
    eventually(lambda: person.listed("pods") == [], seconds=STOPPED_WITHIN)
