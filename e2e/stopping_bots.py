"""Bots in one namespace that all run, one for each reason to stop; they stop at the same time."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from foreign_admission import without_validation_of_ours
from person import Object, Person, condition, eventually, named_bot, sample
from simulated_bots import SimulatedBots
from writes import patch_object

PHASES = {
    "paused": "Paused",
    "halted": "Halted",
    "closed": "OffHours",
    "invalid": "Failed",
    "bereft": "AwaitingCredentials",
}
"""The phase of each bot once it is stopped. The bot `deleted` is gone then."""
DELETED = "deleted"
STOPPED_WITHIN = 30.0

_OWN_SECRET = "bereft-creds"
_INVALID = {"windows": [{"days": ["Mon"], "start": "10:00", "end": "10:00"}]}
"""A schedule that the schema takes: only the product's webhooks refuse it."""


@dataclass(frozen=True)
class StoppingBots:
    """The bots of a namespace."""

    person: Person
    reports: SimulatedBots

    def run(self) -> None:
        """Create all bots; returns when each runs. A PodDisruptionBudget wants all to stay."""
        person, secret = self.person, sample("secret.yaml")
        own = {**secret, "metadata": {"name": _OWN_SECRET}}
        exchange = {"name": "Binance", "apiKeySecret": _OWN_SECRET}
        names = [*PHASES, DELETED]
        for name in names:
            self.reports.set(person.namespace, name)
        bots = [
            named_bot(name, **({"exchange": exchange} if name == "bereft" else {}))
            for name in names
        ]
        person.applied(_budget(), secret, own, *bots)
        self.person.await_phases(dict.fromkeys(names, "Running"))

    def stop(self) -> None:
        """Give each bot its reason to stop."""
        person = self.person
        person.patched("tbot", "paused", {"spec": {"paused": True}})
        self.reports.set(person.namespace, "halted", day_pnl="-5000")
        begins = datetime.now(UTC) + timedelta(seconds=2)
        blackout = {"from": f"{begins:%Y-%m-%dT%H:%M:%SZ}", "to": "2999-01-01T00:00:00Z"}
        person.patched("tbot", "closed", {"spec": {"schedule": {"blackouts": [blackout]}}})
        person.deleted("secret", _OWN_SECRET)
        person.kubectl("delete", "tbot", DELETED, "--wait=false")
        with without_validation_of_ours(person):
            eventually(self._store_invalid)

    def _store_invalid(self) -> bool:
        patch = {"spec": {"schedule": _INVALID}}
        plane, namespace = self.person.system.plane, self.person.namespace
        return patch_object(plane, namespace, "tbot", "invalid", patch)[0] == 200

    def await_stopped(self, *, seconds: float = STOPPED_WITHIN) -> None:
        """Wait until there is no pod, and every status says that the stop was carried out."""
        eventually(self._no_pods, seconds=seconds)
        self.person.await_phases(PHASES)
        eventually(lambda: self.person.get("tbot", DELETED) is None)
        eventually(self._every_stop_is_told)

    def _every_stop_is_told(self) -> bool:
        # A pod that a policy has brought back for a moment is a stop that is not complete yet.
        for bot in self.person.listed("tradingbots"):
            blocked = condition(bot, "StopBlocked")
            name = bot["metadata"]["name"]
            assert (blocked["status"], blocked["reason"]) == ("False", "Stopped"), (name, blocked)
        return True

    def _no_pods(self) -> bool:
        pods = [pod["metadata"]["labels"]["trading.io/bot"] for pod in self.person.listed("pods")]
        assert pods == [], f"these still have a pod: {pods}"
        return True

    def start_again(self) -> None:
        """Take every reason away; returns when all but the halted and the deleted bot run."""
        person = self.person
        person.applied({**sample("secret.yaml"), "metadata": {"name": _OWN_SECRET}})
        person.patched("tbot", "paused", {"spec": {"paused": False}})
        person.patched("tbot", "closed", {"spec": {"schedule": {"blackouts": None}}})
        person.patched("tbot", "invalid", {"spec": {"schedule": {"windows": None}}})
        phases = {**dict.fromkeys(PHASES, "Running"), "halted": "Halted"}
        person.await_phases(phases)

    def deployments(self) -> dict[str, Object]:
        """Return the live Deployments by name."""
        return {one["metadata"]["name"]: one for one in self.person.listed("deployments")}


def replicas_owners(deployment: Object) -> list[str]:
    """Return who owns `spec.replicas`, as `manager/operation/subresource`."""
    return [
        "/".join((one["manager"], one["operation"], one.get("subresource", "")))
        for one in deployment["metadata"].get("managedFields", [])
        if "f:replicas" in one["fieldsV1"].get("f:spec", {})
    ]


def _budget() -> Object:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "all-stay"},
        "spec": {
            "minAvailable": 1,
            "selector": {"matchLabels": {"app.kubernetes.io/name": "tradingbot"}},
        },
    }
