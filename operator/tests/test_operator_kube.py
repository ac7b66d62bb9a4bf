"""The Kubernetes client against a server on loopback that answers as told."""

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import kopf
import pytest
from aiohttp import web
from operator_harness import NOW, bot_body, serving
from tradingbot_operator import kube
from tradingbot_operator.kube import KubernetesApi, KubernetesError
from tradingbot_operator.recorder import NORMAL, Recorder

CONFIG_MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "n"}}
REFUSED = {"kind": "Status", "reason": "Forbidden", "message": "not allowed"}

Call = Callable[[KubernetesApi], Awaitable[Any]]


@dataclass
class Server:
    """Answers in turn, the last one for ever, and notes what it was asked."""

    answers: list[web.Response | bytes | Any]
    status: int = 200
    seen: list[web.Request] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    async def respond(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request)
        self.bodies.append(await request.read())
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if callable(answer):
            answer = await answer(request)
        if isinstance(answer, tuple):
            code, answer = answer
        else:
            code = self.status
        if isinstance(answer, web.Response):
            return answer
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        return web.Response(status=code, body=body)


def against(server: Server, call: Call, *, prefix: str = "") -> Any:
    """What `call` gives with a client of `server`."""

    async def main() -> Any:
        async with serving(server.respond, prefix=prefix) as url:
            api = logged_in(url)
            try:
                return await call(api)
            finally:
                await api.close()

    return asyncio.run(main())


def logged_in(url: str, tokens: list[str] | None = None) -> KubernetesApi:
    async def login() -> kopf.ConnectionInfo:
        return kopf.ConnectionInfo(server=url, token=tokens.pop(0) if tokens else "t")

    return KubernetesApi(login)


def get(api: KubernetesApi) -> Awaitable[Any]:
    return api.get("ConfigMap", "n", "c")


def test_an_object_is_got_with_its_kind() -> None:
    server = Server([{"kind": "ConfigMap", "metadata": {}}])
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
    monkeypatch.setattr(kube, "TIMEOUT", aiohttp.ClientTimeout(total=0.05))

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
        return {"kind": "ConfigMap", "metadata": {}}

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
            return {"kind": "ConfigMap", "metadata": {"name": "slow"}}
        if request.headers["Authorization"] == "Bearer old":
            return 401, {"kind": "Status"}
        return {"kind": "ConfigMap", "metadata": {}}

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
    server = Server([{"kind": "ConfigMap", "metadata": {}}])
    against(server, get, prefix="/k8s/clusters/c-1")
    assert server.seen[0].path == "/k8s/clusters/c-1/api/v1/namespaces/n/configmaps/c"


def page(*names: str, more: str = "") -> dict[str, Any]:
    return {
        "kind": "DeploymentList",
        "apiVersion": "apps/v1",
        "metadata": {"continue": more},
        "items": [{"metadata": {"name": name}} for name in names],
    }


async def listed(api: KubernetesApi) -> list[Any]:
    return [one async for one in api.items("Deployment", labels={"a": "b", "c": "d"})]


def test_all_pages_of_a_list_are_read_and_items_know_their_type() -> None:
    server = Server([page("a", "b", more="token+/="), page("c")])
    found = against(server, listed)
    assert [one["metadata"]["name"] for one in found] == ["a", "b", "c"]
    assert {(one["apiVersion"], one["kind"]) for one in found} == {("apps/v1", "Deployment")}
    assert [one.path for one in server.seen] == ["/apis/apps/v1/deployments"] * 2
    assert server.seen[0].query["labelSelector"] == "a=b,c=d"
    assert server.seen[1].query["continue"] == "token+/="


def test_a_list_that_has_expired_between_pages_is_an_error_and_not_a_short_list() -> None:
    server = Server([page("a", more="x"), (410, {"kind": "Status", "reason": "Expired"})])
    with pytest.raises(KubernetesError) as caught:
        against(server, listed)
    assert caught.value.status == 410


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
    server = Server([{"kind": "TradingBot"}])
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
    assert [one.method for one in server.seen][:2] == ["GET", "GET"]
    assert len(server.seen) == 3


def test_a_write_of_a_lease_needs_no_leave() -> None:
    async def call(api: KubernetesApi) -> None:
        api.before_write = refuse
        await api.create(LEASE)
        await api.replace(LEASE)

    server = Server([LEASE])
    against(server, call)
    assert [one.method for one in server.seen] == ["POST", "PUT"]


def test_leave_to_write_is_asked_for_after_waiting_for_a_connection() -> None:
    answered: list[str] = []
    arrived, release = asyncio.Event(), asyncio.Event()

    async def answer(request: web.Request) -> Any:
        if len(server.seen) == kube.CONNECTIONS:
            arrived.set()
        await release.wait()
        answered.append(request.method)
        return CONFIG_MAP

    async def call(api: KubernetesApi) -> list[int]:
        asked: list[int] = []
        api.before_write = lambda: asked.append(len(answered))
        async with asyncio.TaskGroup() as group:
            for _ in range(kube.CONNECTIONS):
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
    assert pauses == [2, kube.LONGEST_PAUSE]


def paused(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(kube, "sleep", pause)
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
    expected = kube.TRIES if seconds == "1" else 1
    assert (len(server.seen), len(pauses)) == (expected, expected - 1)


def test_a_lease_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses = paused(monkeypatch)
    with pytest.raises(KubernetesError):
        against(Server([busy("1")]), lambda api: api.replace(LEASE))
    assert pauses == []


def test_versions_are_asked_for_without_the_objects() -> None:
    item = {"metadata": {"namespace": "n", "name": "a", "resourceVersion": "7"}}
    whole = {"kind": "PartialObjectMetadataList", "metadata": {}, "items": [item]}
    one = {"kind": "PartialObjectMetadata", **item}
    server = Server([whole, one, (404, {"kind": "Status"})])

    async def call(api: KubernetesApi) -> Any:
        listed = [found async for found in api.versions("Deployment", namespace="n")]
        return [
            *listed,
            await api.version_of("Secret", "n", "a"),
            await api.version_of("Secret", "n", "b"),
        ]

    assert against(server, call) == [(("n", "a"), 7), "7", None]
    assert all("as=PartialObjectMetadata" in seen.headers["Accept"] for seen in server.seen)


def test_closing_twice_or_before_any_request_is_fine() -> None:
    async def main() -> None:
        api = logged_in("http://127.0.0.1:1")
        await api.close()
        await api.close()

    asyncio.run(main())


def test_an_event_is_about_its_object() -> None:
    server = Server([(201, {"kind": "Event"})])
    body = bot_body()
    against(server, lambda api: Recorder(api).post(body, (NORMAL, "Paused", "m" * 2000), NOW))
    event = json.loads(server.bodies[0])
    assert event["involvedObject"]["uid"] == "uid-arb"
    assert event["metadata"]["namespace"] == "desk"
    assert (event["type"], event["reason"], event["count"]) == ("Normal", "Paused", 1)
    assert event["firstTimestamp"] == event["lastTimestamp"] == "2026-03-04T12:00:00Z"
    assert len(event["message"]) <= 1024


def test_the_name_of_an_event_is_valid_whatever_the_object_is_called() -> None:
    server = Server([(201, {"kind": "Event"})])
    body = bot_body(metadata={"name": "a" * 199 + "-.bc"})
    against(server, lambda api: Recorder(api).post(body, (NORMAL, "Paused", "m"), NOW))
    name = json.loads(server.bodies[0])["metadata"]["name"]
    assert "-." not in name
    assert len(name) <= 253


def test_an_event_that_can_not_be_posted_is_logged_and_holds_nothing_up(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = Server([(403, REFUSED)])
    against(server, lambda api: Recorder(api).post(bot_body(), (NORMAL, "Paused", "m"), NOW))
    assert "Paused was not posted" in caplog.text


def test_a_list_of_nothing_may_say_null() -> None:
    async def main(api: KubernetesApi) -> list[Any]:
        whole = [found async for found in api.items("Deployment")]
        return [*whole, *[found async for found in api.versions("Deployment")]]

    empty = {"kind": "List", "apiVersion": "v1", "metadata": {}, "items": None}
    assert against(Server([empty]), main) == []
