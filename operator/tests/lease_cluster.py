"""An API server that has only Leases, in memory and in the time of the event loop."""

import asyncio
import copy
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import kopf
from tradingbot_api.model import JsonObject
from tradingbot_api.namespaced_name import NamespacedName
from tradingbot_operator.cluster.client import KubernetesApi, KubernetesError
from tradingbot_operator.leadership.election import LeaderElection
from tradingbot_operator.leadership.lease import Timing

NAME = NamespacedName("tradingbot-system", "tradingbot-operator")
EPOCH = datetime(2026, 3, 4, tzinfo=UTC)
TEN = Timing(10)


class Leases(KubernetesApi):
    """One Lease with versions. `before` and `after` each request may wait or fail."""

    def __init__(self) -> None:
        async def login() -> kopf.ConnectionInfo:
            raise AssertionError("nothing logs in to a cluster in memory")

        super().__init__(login)
        self.lease: JsonObject | None = None
        self.version = 0
        self.requests: list[tuple[float, str]] = []
        self.fault: Callable[[str], KubernetesError | None] = lambda _: None
        self.delay: Callable[[str], float] = lambda _: 0.0
        """Seconds between the effect of a request and its answer."""

    async def get(self, kind: str, namespace: str, name: str) -> JsonObject | None:
        self._ask("get", NamespacedName(namespace, name))
        found = copy.deepcopy(self.lease)
        await asyncio.sleep(self.delay("get"))
        return found

    async def create(self, manifest: JsonObject) -> JsonObject:
        self._ask("create", _name(manifest))
        if self.lease is not None:
            raise KubernetesError(409, "AlreadyExists", "it is there")
        return await self._stored("create", manifest)

    async def replace(self, manifest: JsonObject) -> JsonObject:
        self._ask("replace", _name(manifest))
        if self.lease is None:
            raise KubernetesError(404, "NotFound", "it is not there")
        if manifest["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]:
            raise KubernetesError(409, "Conflict", "it has been modified")
        return await self._stored("replace", manifest)

    def edit(self, **record: object) -> None:
        """Change the record as another client would."""
        assert self.lease is not None
        self._store({**self.lease, "spec": {**self.lease["spec"], **record}})

    @property
    def holder(self) -> str:
        return str((self.lease or {"spec": {}})["spec"].get("holderIdentity", ""))

    def _ask(self, verb: str, name: NamespacedName) -> None:
        assert name == NAME
        self.requests.append((asyncio.get_running_loop().time(), verb))
        error = self.fault(verb)
        if error is not None:
            raise error

    async def _stored(self, verb: str, manifest: JsonObject) -> JsonObject:
        stored = self._store(manifest)
        await asyncio.sleep(self.delay(verb))
        return stored

    def _store(self, manifest: JsonObject) -> JsonObject:
        self.version += 1
        self.lease = copy.deepcopy(manifest)
        self.lease["metadata"]["resourceVersion"] = str(self.version)
        return copy.deepcopy(self.lease)


def contender(
    cluster: KubernetesApi,
    identity: str,
    *,
    skew: float = 0.0,
    rate: float = 1.0,
    watchdog: Callable[[float], None] = lambda _: None,
) -> LeaderElection:
    """Return an election whose clock is off by `skew` seconds and runs at `rate`."""
    loop = asyncio.get_running_loop()
    return LeaderElection(
        cluster,
        name=NAME,
        identity=identity,
        timing=TEN,
        clock=lambda: skew + rate * loop.time(),
        wall_clock=lambda: EPOCH + timedelta(seconds=skew + rate * loop.time()),
        watchdog=watchdog,
    )


def _name(manifest: JsonObject) -> NamespacedName:
    meta = manifest["metadata"]
    return NamespacedName(meta["namespace"], meta["name"])
