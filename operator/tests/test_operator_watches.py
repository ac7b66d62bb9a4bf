"""The watches on a real API server: they stop when told, and restart when one has ended."""

import asyncio
from pathlib import Path

import pytest
from tradingbot_api.model import JsonObject
from tradingbot_dev.control_plane.plane import ControlPlane
from tradingbot_dev.processes.waiting import STUCK_SECONDS
from tradingbot_operator.cluster.login import LoginError, login
from tradingbot_operator.cluster.watching import kopf_wiring, watches

CRDS = Path(__file__).parents[2] / "config" / "crd"
PATIENCE = STUCK_SECONDS


@pytest.fixture
def cluster(control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> ControlPlane:
    control_plane.kubectl("apply", "-k", str(CRDS), check=True)
    monkeypatch.setenv("KUBECONFIG", str(control_plane.kubeconfig))
    return control_plane


def config_map(name: str) -> JsonObject:
    labels = {"app.kubernetes.io/managed-by": "tradingbot-operator"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels}}


def names(cluster: ControlPlane) -> list[str]:
    answer = cluster.client.get("/api/v1/namespaces/default/configmaps")
    assert answer is not None
    return [obj["metadata"]["name"] for obj in answer.json()["items"]]


async def create(cluster: ControlPlane, name: str) -> None:
    answer = await asyncio.to_thread(
        cluster.client.post, "/api/v1/namespaces/default/configmaps", config_map(name)
    )
    assert answer is not None
    assert answer.status == 201


async def until_seen(seen: list[str], name: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while name not in seen:  # noqa: ASYNC110 - the list is filled from outside
            await asyncio.sleep(0.05)


def test_watches_that_have_died_begin_anew_and_leave_other_tasks_alone(
    cluster: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The API server answers 400 to such a watch, and kopf gives it up for good.
    monkeypatch.setattr(kopf_wiring, "SERVER_TIMEOUT", "no number")
    seen: list[str] = []

    async def scenario() -> None:
        stop, ready, begun_anew = asyncio.Event(), asyncio.Event(), asyncio.Event()

        def lost() -> None:
            monkeypatch.setattr(kopf_wiring, "SERVER_TIMEOUT", 240)
            seen.extend(names(cluster))
            begun_anew.set()

        bystander = asyncio.create_task(stop.wait())
        watching = asyncio.create_task(
            watches.watch(
                lambda _, obj: seen.append(obj["metadata"]["name"]),
                namespaces=(),
                stop=stop,
                ready=ready,
                on_missed_events=lost,
            )
        )
        async with asyncio.timeout(PATIENCE):
            await ready.wait()
            await begun_anew.wait()
        await create(cluster, "after-the-loss")
        await until_seen(seen, "after-the-loss")
        assert not bystander.done()
        stop.set()
        async with asyncio.timeout(PATIENCE):
            await watching
            await bystander

    asyncio.run(scenario())


def test_what_is_there_before_is_not_told_of_and_all_that_comes_afterwards_is(
    cluster: ControlPlane,
) -> None:
    seen: list[str] = []

    async def scenario() -> None:
        await create(cluster, "before")
        stop, ready, lost = asyncio.Event(), asyncio.Event(), asyncio.Event()
        watching = asyncio.create_task(
            watches.watch(
                lambda _, obj: seen.append(obj["metadata"]["name"]),
                namespaces=(),
                stop=stop,
                ready=ready,
                on_missed_events=lost.set,
            )
        )
        async with asyncio.timeout(PATIENCE):
            await ready.wait()
        await create(cluster, "afterwards")
        await until_seen(seen, "afterwards")
        stop.set()
        async with asyncio.timeout(PATIENCE):
            await watching
        assert not lost.is_set()

    asyncio.run(scenario())
    assert "before" not in seen


def test_without_a_cluster_it_ends_with_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nonexistent/kubeconfig")
    with pytest.raises(LoginError, match="set KUBECONFIG"):
        asyncio.run(login())
