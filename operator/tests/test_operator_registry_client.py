"""The client of the registry: which errors are transient, and which are refusals."""

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from operator_harness import Handler, serving
from registry_server import RunningRegistry
from tradingbot_api.asset import AssetStatus, AssetType
from tradingbot_operator import registry_client
from tradingbot_operator.registry_client import (
    PAGE_SIZE,
    OwnedAsset,
    RegistryClient,
    RegistryRefusedError,
    RegistryUnavailableError,
    token_from,
)


def answering(status: int, body: Any = b"", seen: list[web.Request] | None = None) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        if seen is not None:
            seen.append(request)
        await request.read()
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return web.Response(status=status, body=raw)

    return handler


def against(
    handler: Handler,
    call: Callable[[RegistryClient], Awaitable[Any]],
    token: Callable[[], str] = lambda: "",
) -> Any:
    async def main() -> Any:
        async with serving(handler) as url:
            client = RegistryClient(f"{url}/", token=token)
            try:
                return await call(client)
            finally:
                await client.close()

    return asyncio.run(main())


def upsert(client: RegistryClient) -> Awaitable[Any]:
    return client.upsert("crd/n/c.a", {"name": "a"})


def delete(client: RegistryClient) -> Awaitable[Any]:
    return client.delete("crd/n/c.a")


async def owned(client: RegistryClient) -> list[Any]:
    return [asset async for asset in client.owned("crd/n/c.")]


CALLS = (upsert, delete, owned)


def held(**fields: Any) -> dict[str, Any]:
    return {
        "id": "1",
        "version": 4,
        "effectiveStatus": "Degraded",
        "externalRef": "crd/n/c.a",
        "managedBy": "crd",
        "name": "a",
        "type": "Other",
        "status": "Active",
        "description": "",
        "tags": ["t"],
        "config": {"a": 1},
        "secretRef": None,
        "dependsOn": ["x"],
        "unresolved": [],
        **fields,
    }


def test_an_upsert_is_a_put_by_reference() -> None:
    seen: list[web.Request] = []
    assert against(answering(201, {"id": "1"}, seen), upsert) == {"id": "1"}
    assert (seen[0].method, seen[0].path) == ("PUT", "/api/v1/assets/by-ref/crd/n/c.a")


@pytest.mark.parametrize("status", [204, 404])
def test_a_delete_is_fine_when_it_is_gone_already(status: int) -> None:
    body = b"" if status == 204 else {"title": "not found"}
    assert against(answering(status, body), delete) is None


@pytest.mark.parametrize("status", [400, 409, 412, 422])
def test_what_the_registry_understood_and_will_refuse_again_is_a_refusal(status: int) -> None:
    errors = [{"pointer": "/config", "detail": "needs url"}]
    problem = {"title": "t", "detail": "not so", "errors": errors}
    with pytest.raises(RegistryRefusedError, match="not so; /config: needs url") as caught:
        against(answering(status, problem), upsert)
    assert caught.value.status == status


@pytest.mark.parametrize("status", [401, 403, 429, 500, 502, 503])
def test_what_may_be_otherwise_later_is_unavailable(status: int) -> None:
    for call in CALLS:
        with pytest.raises(RegistryUnavailableError, match=f"{status}: busy"):
            against(answering(status, {"detail": "busy"}), call)


@pytest.mark.parametrize("status", [200, 404, 502])
def test_an_answer_that_is_not_json_is_unavailable(status: int) -> None:
    for call in CALLS:
        with pytest.raises(RegistryUnavailableError):
            against(answering(status, b"<html>hello</html>"), call)


@pytest.mark.parametrize("body", [b"", b"null", b'"text"', b"7"])
def test_an_answer_of_another_shape_is_no_registry(body: bytes) -> None:
    for call in (upsert, owned):
        with pytest.raises(RegistryUnavailableError, match="not a registry"):
            against(answering(200, body), call)


@pytest.mark.parametrize("asset", [7, {}, held(externalRef=None), held(status="Lost")])
def test_an_asset_of_another_shape_is_no_registry(asset: Any) -> None:
    with pytest.raises(RegistryUnavailableError, match="not a registry"):
        against(answering(200, [asset]), owned)


@pytest.mark.parametrize("problem", [None, [], {}, {"errors": "x"}, {"errors": [{}]}])
def test_a_refusal_without_explanation_is_a_refusal(problem: Any) -> None:
    with pytest.raises(RegistryRefusedError):
        against(answering(422, problem), upsert)


def test_a_registry_that_is_not_there_is_unavailable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"

    async def main() -> None:
        client = RegistryClient(url)
        try:
            await upsert(client)
        finally:
            await client.close()

    with pytest.raises(RegistryUnavailableError, match=url):
        asyncio.run(main())


def test_a_registry_that_never_answers_is_given_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_client, "TIMEOUT", aiohttp.ClientTimeout(total=0.05))

    async def never(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    with pytest.raises(RegistryUnavailableError, match="TimeoutError"):
        against(never, upsert)


@pytest.mark.parametrize("count", [0, 1, PAGE_SIZE - 1, PAGE_SIZE, PAGE_SIZE + 1, 2 * PAGE_SIZE])
def test_all_pages_are_read(count: int) -> None:
    asked: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        assert request.query["external_ref_prefix"] == "crd/n/c."
        asked.append(request.query.get("cursor", "0"))
        begin = int(asked[-1])
        end = min(begin + int(request.query["page_size"]), count)
        pagination = json.dumps({"next_cursor": str(end) if end < count else None})
        page = [held(id=str(number)) for number in range(begin, end)]
        return web.json_response(page, headers={"X-Pagination": pagination})

    assert [asset.id for asset in against(handler, owned)] == [str(n) for n in range(count)]
    assert asked == [str(begin) for begin in range(0, max(count, 1), PAGE_SIZE)]


def test_a_full_page_that_does_not_say_what_follows_is_not_the_registrys() -> None:
    """Taken for the last one, the assets behind it would count as gone."""
    full = [held(id=str(number)) for number in range(PAGE_SIZE)]
    with pytest.raises(RegistryUnavailableError, match="is not a registry"):
        against(answering(200, full), owned)


def test_the_token_is_read_anew_for_each_request(tmp_path: Path) -> None:
    file = tmp_path / "token"
    seen: list[web.Request] = []

    async def call(client: RegistryClient) -> None:
        for token in ("one", "two\n"):
            file.write_text(token)
            await upsert(client)

    against(answering(200, {}, seen), call, token_from(str(file)))
    assert [request.headers["Authorization"] for request in seen] == ["Bearer one", "Bearer two"]


def test_without_a_token_file_no_token_is_sent() -> None:
    seen: list[web.Request] = []
    against(answering(200, {}, seen), upsert, token_from(""))
    assert "Authorization" not in seen[0].headers


def test_a_token_file_that_is_missing_is_unavailable_and_named(tmp_path: Path) -> None:
    file = str(tmp_path / "missing")
    with pytest.raises(RegistryUnavailableError, match="missing"):
        against(answering(200, {}), upsert, token_from(file))


def test_a_released_asset_keeps_all_that_a_user_may_write() -> None:
    bodies: list[Any] = []

    async def handler(request: web.Request) -> web.Response:
        bodies.append(await request.json())
        return web.json_response({})

    asset = held()
    against(handler, lambda client: client.release(OwnedAsset.model_validate(asset)))
    kept = {key: asset[key] for key in ("name", "type", "status", "description", "tags", "config")}
    assert bodies == [{**kept, "dependsOn": ["x"], "managedBy": "user"}]


def test_what_the_client_reads_of_an_asset_is_in_the_document(registry: RunningRegistry) -> None:
    document = registry.app.test_client().get("/api/v1/openapi.json").json["components"]["schemas"]
    answered, taken = document["Asset"], document["Upsert"]["properties"]
    read = {field.alias: field for field in OwnedAsset.model_fields.values()}
    assert read.keys() <= set(answered["required"])
    for alias, enumeration in (("type", AssetType), ("status", AssetStatus)):
        assert answered["properties"][alias]["enum"] == list(enumeration)
    given = {alias for alias in read if not taken[alias].get("readOnly")}
    assert given == {"name", "type", "status", "description", "tags", "config", "secretRef"} | {
        "dependsOn"
    }


def test_every_call_of_the_client_is_in_the_document(registry: RunningRegistry) -> None:
    """The fixture compares requests and answers with the document, here all calls at once."""

    async def calls(client: RegistryClient) -> None:
        body = {"type": "Other", "managedBy": "crd"}
        await client.upsert("crd/n/c.a", {**body, "name": "a", "status": "Active"})
        needs = {**body, "name": "b", "dependsOn": ["crd/n/c.a", "crd/n/late.x"]}
        await client.upsert("crd/n/c.b", needs, force=True, blocked_by_prefix="crd/n/c.")
        with pytest.raises(RegistryRefusedError) as refused:
            await client.upsert("crd/n/c.b", {**needs, "status": "Active"})
        assert refused.value.waits_for == ("crd/n/late.x",)
        with pytest.raises(RegistryRefusedError):
            await client.upsert("crd/n/c.b", {**body, "name": "b", "type": "Nope"})
        with pytest.raises(RegistryRefusedError):
            await client.delete("crd/n/c.a", unresolve=False)
        assert [asset.name async for asset in client.owned("crd/n/c.")] == ["a", "b"]
        async for asset in client.owned("crd/n/c.a"):
            await client.release(asset)
        await client.delete("crd/n/c.b")
        await client.delete("crd/n/c.b")

    async def main() -> None:
        client = RegistryClient(registry.url)
        try:
            await calls(client)
        finally:
            await client.close()

    asyncio.run(main())
    found = registry.contract
    assert {(method, status) for method, _, status in found.checked} == {
        *(("PUT", status) for status in (200, 201, 409, 422)),
        *(("DELETE", status) for status in (204, 404, 409)),
        ("GET", 200),
    }
    # The document refuses the type as well.
    assert len(found.violations) == 1
    assert "by-ref/{source}/{namespace}/{name} body: $.type: " in found.violations.pop()
