"""Reviews that are made to cost much: all are answered, others meanwhile, and memory is bounded.

A real process, within the limit of config/webhook: 256Mi.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tradingbot_webhooks.review_size import MAX_CONTAINERS
from webhook_process import BOT, Server, Starter, review

MEMORY_LIMIT = 256
"""MiB."""
AT_ONCE = 30
FEW = MAX_CONTAINERS - 100
"""As many lists and objects as are just admitted."""

Object = dict[str, Any]


def asset_registry(assets: list[Any], **metadata: Any) -> Object:
    return {
        "apiVersion": "trading.io/v1",
        "kind": "AssetRegistry",
        "metadata": {"name": "a", "namespace": "default", **metadata},
        "spec": {"assets": assets},
    }


def encoded(obj: Object, **request: Any) -> bytes:
    """As the API server writes it."""
    kind = {"group": "trading.io", "version": "v1", "kind": obj["kind"]}
    asked = review(obj, kind=kind, **request)
    asked = {"kind": asked["kind"], "apiVersion": asked["apiVersion"], **asked}
    return json.dumps(asked, separators=(",", ":")).encode()


def asset(**fields: Any) -> Object:
    return {"name": "a", "type": "Other", **fields}


REFUSED: dict[str, Callable[[], bytes]] = {
    "empty objects": lambda: encoded(asset_registry([{}] * 960_000)),
    "in a config": lambda: encoded(asset_registry([asset(config={"a": [{}] * 960_000})])),
    "in metadata": lambda: encoded(asset_registry([asset()], annotations=[[]] * 960_000)),
    "before an update": lambda: encoded(
        asset_registry([asset()]), operation="UPDATE", oldObject=asset_registry([{}] * 960_000)
    ),
    "numbers": lambda: encoded(asset_registry([asset(config={"a": [0] * 1_400_000})])),
}
TAKEN: dict[str, Callable[[], bytes]] = {
    "empty objects": lambda: encoded(asset_registry([{}] * FEW)),
    "in a config": lambda: encoded(asset_registry([asset(config={"a": [{}] * FEW})])),
    "managed fields": lambda: encoded(
        asset_registry(
            [asset()], managedFields=[{"fieldsV1": {f"f:{n:012}": {} for n in range(FEW)}}]
        )
    ),
    "before an update": lambda: encoded(
        asset_registry([asset()]), operation="UPDATE", oldObject=asset_registry([{}] * FEW)
    ),
    "windows": lambda: encoded(
        {**BOT, "spec": {**BOT["spec"], "schedule": {"windows": [{}] * FEW}}}
    ),
    "parameters": lambda: encoded(
        {
            **BOT,
            "spec": {**BOT["spec"], "strategy": {"parameters": {f"{n}": [] for n in range(FEW)}}},
        }
    ),
    "unknown fields": lambda: encoded(
        {**BOT, "spec": {**BOT["spec"], **{f"{n:x}": 0 for n in range(240_000)}}}
    ),
    "unknown fields everywhere": lambda: encoded(
        asset_registry([asset(**{f"{n:x}": 0 for n in range(190)}) for _ in range(500)])
    ),
    "numbers": lambda: encoded(asset_registry([asset(config={"a": [0.5] * 700_000})])),
    "dependencies": lambda: encoded(
        asset_registry(
            [asset(dependsOn=[f"a{n}" for n in range(500)]) | {"name": f"a{m}"} for m in range(500)]
        )
    ),
    "a legitimate AssetRegistry": lambda: encoded(
        asset_registry(
            [
                {
                    "name": f"a{n}",
                    "type": "Other",
                    "config": {f"k{m:02}": "v,{[" for m in range(16)},
                }
                for n in range(500)
            ],
            managedFields=[{"fieldsV1": {f"f:k{n:05}": {} for n in range(40_000)}}],
        )
    ),
}


def peak_memory(server: Server) -> float:
    """MiB that the process has had at most."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return next(int(x.split()[1]) / 1024 for x in status.splitlines() if x.startswith("VmHWM"))


@pytest.mark.parametrize("path", ["/mutate", "/validate"])
@pytest.mark.parametrize("kind", REFUSED)
def test_what_holds_too_much_is_denied_with_what_to_do(
    shared: Server, path: str, kind: str
) -> None:
    code, response = shared.post(path, REFUSED[kind]())
    assert (code, response["allowed"]) == (200, False)
    assert response["uid"] == review(BOT)["request"]["uid"]
    assert response["status"]["code"] == 413
    assert "Split an AssetRegistry into several" in response["status"]["message"]


@pytest.mark.parametrize("kind", REFUSED)
def test_a_stop_is_never_denied_for_what_the_object_holds(shared: Server, kind: str) -> None:
    # An HTTP error, which `failurePolicy: Ignore` lets pass.
    code, _ = shared.post("/mutate/stop", REFUSED[kind]())
    assert code == 413
    assert shared.post("/mutate/stop", review(BOT))[1]["allowed"]


def test_where_no_uid_is_found_it_is_an_http_error(shared: Server) -> None:
    code, text = shared.post("/validate", b" " + REFUSED["empty objects"]())
    assert code == 413
    assert "Split an AssetRegistry into several" in text


@pytest.mark.parametrize("bodies", [REFUSED, TAKEN], ids=["refused", "taken"])
def test_thirty_at_once_keep_nobody_waiting_and_fit_into_the_memory(
    start: Starter, bodies: dict[str, Callable[[], bytes]]
) -> None:
    server = start()
    made = [make() for make in bodies.values()]
    sent = [made[n % len(made)] for n in range(AT_ONCE)]
    done = threading.Event()
    waits: list[float] = []

    def ask() -> None:
        connection = server.connect()
        while not done.is_set():
            begin = time.monotonic()
            assert server.post("/validate", review(BOT), connection=connection)[0] == 200
            waits.append(time.monotonic() - begin)

    def flood(n: int) -> int:
        connection = server.connect(timeout=60)
        try:
            return server.post(("/mutate", "/validate")[n % 2], sent[n], connection=connection)[0]
        except OSError:
            return 0  # dropped, to make room for who holds less

    with ThreadPoolExecutor(AT_ONCE + 1) as threads:
        asking = threads.submit(ask)
        begin = time.monotonic()
        codes = list(threads.map(flood, range(AT_ONCE)))
        took = time.monotonic() - begin
        done.set()
        asking.result()
    print(f"{took:.1f} s, others at most {max(waits):.2f} s, {peak_memory(server):.0f} MiB", codes)
    assert 200 in codes
    assert set(codes) <= {200, 503, 0}
    assert max(waits) < max(1.0, took / 3), (waits, took)
    assert peak_memory(server) < 0.8 * MEMORY_LIMIT
    assert server.health("/healthz")[0] == 200


def test_a_large_asset_registry_is_admitted(start: Starter) -> None:
    server = start()
    body = TAKEN["a legitimate AssetRegistry"]()
    for path in ("/mutate", "/validate"):
        code, response = server.post(path, body)
        assert (code, response["allowed"]) == (200, True)
