"""The Kubernetes client against a server on loopback that gives scripted answers."""

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from client_server import CONFIG_MAP, REFUSED, Call, Server, against, get, logged_in
from operator_harness import bot_body, serving
from tradingbot_operator.cluster import client
from tradingbot_operator.cluster.client import KubernetesApi, KubernetesError


def test_an_object_is_got_with_its_kind() -> None:
    server = Server([CONFIG_MAP])
    assert against(server, get)["kind"] == "ConfigMap"
    assert server.seen[0].path == "/api/v1/namespaces/n/configmaps/c"
    assert server.seen[0].headers["Authorization"] == "Bearer t"


def test_an_object_that_is_not_there_is_none() -> None:
    assert against(Server([(404, {"kind": "Status", "reason": "NotFound"})]), get) is None


@pytest.mark.parametrize("status", [400, 403, 409, 410, 422, 429, 500, 503])
def test_a_refusal_carries_its_code_reason_and_message(status: int) -> None:
    with pytest.raises(KubernetesError, match="not allowed") as caught:
        against(Server([(status, REFUSED)]), get)
    assert (caught.value.status, caught.value.reason) == (status, "Forbidden")
    assert not caught.value.is_conflict


def test_a_conflict_of_versions_is_told_from_a_name_that_is_taken() -> None:
    for reason, expected in (("Conflict", True), ("AlreadyExists", False)):
        with pytest.raises(KubernetesError) as caught:
            against(Server([(409, {"kind": "Status", "reason": reason})]), get)
        assert caught.value.is_conflict is expected


@pytest.mark.parametrize("body", [b"<html>bad gateway</html>", b"", b"\xff\xfe", b'"text"', b"[1]"])
def test_an_error_that_is_no_object_is_an_error_all_the_same(body: bytes) -> None:
    with pytest.raises(KubernetesError, match="502") as caught:
        against(Server([(502, body)]), get)
    assert caught.value.status == 502


@pytest.mark.parametrize("body", [b"<html>log in here</html>", b"", b"null", b"[]", b"{}"])
def test_a_success_that_is_no_object_is_an_error(body: bytes) -> None:
    async def everything(api: KubernetesApi) -> None:
        async for _ in api.items("ConfigMap"):
            pass

    for call in (get, everything):
        with pytest.raises(KubernetesError, match="without an object"):
            against(Server([body]), call)


def test_a_server_that_is_not_there_is_an_error_of_status_0() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    codes: list[tuple[str, int]] = []

    async def main() -> None:
        api = logged_in(f"http://127.0.0.1:{port}")
        api.on_request = lambda verb, code: codes.append((verb, code))
        try:
            await get(api)
        finally:
            await api.close()

    with pytest.raises(KubernetesError) as caught:
        asyncio.run(main())
    assert (caught.value.status, caught.value.reason) == (0, "Unreachable")
    assert codes == [("GET", 0)]


def test_a_server_that_never_answers_is_given_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "TIMEOUT", aiohttp.ClientTimeout(total=0.05))

    async def never(_: web.Request) -> None:
        await asyncio.Event().wait()

    with pytest.raises(KubernetesError) as caught:
        against(Server([never]), get)
    assert caught.value.status == 0


def test_a_server_that_hangs_up_is_an_error_of_status_0() -> None:
    async def hang_up(request: web.Request) -> bytes:
        assert request.transport is not None
        request.transport.close()
        return b""

    with pytest.raises(KubernetesError) as caught:
        against(Server([hang_up]), get)
    assert caught.value.status == 0


def test_after_a_401_there_is_one_fresh_login_for_all() -> None:
    tokens = ["old", "new", "one too many"]

    async def answer(request: web.Request) -> Any:
        if request.headers["Authorization"] == "Bearer old":
            return 401, {"kind": "Status", "reason": "Unauthorized"}
        return CONFIG_MAP

    async def main() -> list[Any]:
        async with serving(Server([answer]).respond) as url:
            api = logged_in(url, tokens)
            try:
                return await asyncio.gather(*(get(api) for _ in range(20)))
            finally:
                await api.close()

    assert len(asyncio.run(main())) == 20
    assert tokens == ["one too many"]


def test_a_fresh_login_does_not_break_what_is_under_way() -> None:
    arrived, release = asyncio.Event(), asyncio.Event()

    async def answer(request: web.Request) -> Any:
        if request.path.endswith("/slow"):
            arrived.set()
            await release.wait()
            return {"kind": "ConfigMap", "metadata": {"namespace": "n", "name": "slow"}}
        if request.headers["Authorization"] == "Bearer old":
            return 401, {"kind": "Status"}
        return CONFIG_MAP

    async def main() -> Any:
        async with serving(Server([answer]).respond) as url:
            api = logged_in(url, ["old", "new"])
            try:
                slow = asyncio.create_task(api.get("ConfigMap", "n", "slow"))
                await arrived.wait()
                await get(api)
                release.set()
                return await slow
            finally:
                await api.close()

    assert asyncio.run(main())["metadata"]["name"] == "slow"


def test_a_second_401_is_an_error() -> None:
    with pytest.raises(KubernetesError) as caught:
        against(Server([(401, {"kind": "Status", "reason": "Unauthorized"})]), get)
    assert caught.value.status == 401


def test_a_cluster_behind_a_path_is_reached() -> None:
    server = Server([CONFIG_MAP])
    against(server, get, prefix="/k8s/clusters/c-1")
    assert server.seen[0].path == "/k8s/clusters/c-1/api/v1/namespaces/n/configmaps/c"


def test_applying_takes_back_what_others_have_changed() -> None:
    server = Server([CONFIG_MAP])
    manifest = {**CONFIG_MAP, "data": {"a": "größer"}}
    against(server, lambda api: api.apply(manifest))
    (request,) = server.seen
    assert (request.method, request.path) == ("PATCH", "/api/v1/namespaces/n/configmaps/c")
    assert request.headers["Content-Type"] == "application/apply-patch+yaml"
    assert dict(request.query) == {"fieldManager": "tradingbot-operator", "force": "true"}
    assert json.loads(server.bodies[0]) == manifest


def test_a_status_is_merged_into_its_subresource() -> None:
    server = Server([bot_body()])
    patch = {"status": {"phase": "Running"}}
    against(server, lambda api: api.merge("TradingBot", "n", "b", patch, subresource="status"))
    (request,) = server.seen
    assert request.path == "/apis/trading.io/v1/namespaces/n/tradingbots/b/status"
    assert request.headers["Content-Type"] == "application/merge-patch+json"
    assert json.loads(server.bodies[0]) == patch


LEASE = {
    "apiVersion": "coordination.k8s.io/v1",
    "kind": "Lease",
    "metadata": {"name": "l", "namespace": "n", "resourceVersion": "7"},
}


def test_replacing_sends_the_whole_object_with_the_version_that_it_replaces() -> None:
    server = Server([LEASE])
    against(server, lambda api: api.replace(LEASE))
    (request,) = server.seen
    path = "/apis/coordination.k8s.io/v1/namespaces/n/leases/l"
    assert (request.method, request.path) == ("PUT", path)
    assert json.loads(server.bodies[0]) == LEASE


class NotAllowedError(Exception):
    pass


def refuse() -> None:
    raise NotAllowedError


@pytest.mark.parametrize(
    "write",
    [
        lambda api: api.apply(CONFIG_MAP),
        lambda api: api.create(CONFIG_MAP),
        lambda api: api.replace(CONFIG_MAP),
        lambda api: api.merge("ConfigMap", "n", "c", {}),
    ],
    ids=["apply", "create", "replace", "merge"],
)
def test_a_write_that_is_refused_at_the_last_moment_is_never_sent(write: Call) -> None:
    server = Server([CONFIG_MAP])

    async def call(api: KubernetesApi) -> None:
        api.before_write = refuse
        await get(api)
        with pytest.raises(NotAllowedError):
            await write(api)
        await get(api)
        api.before_write = lambda: None
        await write(api)

    against(server, call)
    assert [request.method for request in server.seen][:2] == ["GET", "GET"]
    assert len(server.seen) == 3


def test_a_write_of_a_lease_needs_no_leave() -> None:
    async def call(api: KubernetesApi) -> None:
        api.before_write = refuse
        await api.create(LEASE)
        await api.replace(LEASE)

    server = Server([LEASE])
    against(server, call)
    assert [request.method for request in server.seen] == ["POST", "PUT"]


def test_leave_to_write_is_asked_for_after_waiting_for_a_connection() -> None:
    answered: list[str] = []
    arrived, release = asyncio.Event(), asyncio.Event()

    async def answer(request: web.Request) -> Any:
        if len(server.seen) == client.CONNECTIONS:
            arrived.set()
        await release.wait()
        answered.append(request.method)
        return CONFIG_MAP

    async def call(api: KubernetesApi) -> list[int]:
        asked: list[int] = []
        api.before_write = lambda: asked.append(len(answered))
        async with asyncio.TaskGroup() as group:
            for _ in range(client.CONNECTIONS):
                group.create_task(get(api))  # type: ignore[arg-type]
            await arrived.wait()
            group.create_task(api.apply(CONFIG_MAP))
            asyncio.get_running_loop().call_later(0, release.set)
        return asked

    server = Server([answer])
    answers_before_asking, *_ = against(server, call)
    assert answers_before_asking > 0


def test_every_request_is_counted_with_its_code() -> None:
    codes: list[tuple[str, int]] = []

    async def call(api: KubernetesApi) -> None:
        api.on_request = lambda verb, code: codes.append((verb, code))
        await get(api)
        await api.create(CONFIG_MAP)

    against(Server([(404, {"kind": "Status"}), (201, CONFIG_MAP)]), call)
    assert codes == [("GET", 404), ("POST", 201)]


def busy(seconds: str) -> Callable[[web.Request], Awaitable[Any]]:
    async def answer(_: web.Request) -> Any:
        return web.Response(
            status=429, headers={"Retry-After": seconds}, body=b'{"kind": "Status"}'
        )

    return answer


def test_a_server_that_has_too_much_to_do_is_asked_again_after_the_pause_it_wants(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses = paused(monkeypatch)
    server = Server([busy("2"), busy("900"), CONFIG_MAP])
    assert against(server, get)["kind"] == "ConfigMap"
    assert pauses == [2, client.LONGEST_PAUSE]


def paused(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(client, "sleep", pause)
    return pauses


@pytest.mark.parametrize("seconds", ["1", "soon", "-1"])
def test_a_server_that_stays_too_busy_is_an_error_in_the_end(
    monkeypatch: pytest.MonkeyPatch, seconds: str
) -> None:
    pauses = paused(monkeypatch)
    server = Server([busy(seconds)])
    with pytest.raises(KubernetesError) as caught:
        against(server, get)
    assert caught.value.status == 429
    expected = client.TRIES if seconds == "1" else 1
    assert (len(server.seen), len(pauses)) == (expected, expected - 1)


def test_a_lease_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses = paused(monkeypatch)
    with pytest.raises(KubernetesError):
        against(Server([busy("1")]), lambda api: api.replace(LEASE))
    assert pauses == []


def test_closing_twice_or_before_any_request_is_fine() -> None:
    async def main() -> None:
        api = logged_in("http://127.0.0.1:1")
        await api.close()
        await api.close()

    asyncio.run(main())


def delete(api: KubernetesApi, *, version: str = "") -> Awaitable[Any]:
    return api.delete("Deployment", "n", "d", uid="u", resource_version=version)


def test_a_deletion_is_of_one_object_and_not_of_its_successor() -> None:
    server = Server([{"kind": "Status", "status": "Success"}])
    against(server, delete)
    against(server, lambda api: delete(api, version="7"))
    assert {(request.method, request.path) for request in server.seen} == {
        ("DELETE", "/apis/apps/v1/namespaces/n/deployments/d")
    }
    bodies = [json.loads(body) for body in server.bodies]
    assert [body["preconditions"] for body in bodies] == [
        {"uid": "u"},
        {"uid": "u", "resourceVersion": "7"},
    ]
    assert {body["propagationPolicy"] for body in bodies} == {"Background"}


def test_what_is_gone_already_counts_as_deleted_and_a_refusal_does_not() -> None:
    against(Server([(404, {"kind": "Status", "reason": "NotFound"})]), delete)
    for status in (403, 409, 500):
        with pytest.raises(KubernetesError) as caught:
            against(Server([(status, REFUSED)]), delete)
        assert caught.value.status == status


def test_a_number_of_replicas_is_merged_into_the_scale() -> None:
    server = Server([{"kind": "Scale"}])
    against(server, lambda api: api.scale("Deployment", "n", "d", 0))
    (request,) = server.seen
    assert (request.method, request.path) == (
        "PATCH",
        "/apis/apps/v1/namespaces/n/deployments/d/scale",
    )
    assert request.headers["Content-Type"] == "application/merge-patch+json"
    assert json.loads(server.bodies[0]) == {"spec": {"replicas": 0}}
