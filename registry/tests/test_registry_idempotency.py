"""A POST with an Idempotency-Key may be repeated."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

from registry_harness import ASSETS, Api, TickingClock, refusal, serving
from tradingbot_registry.app import create_app
from tradingbot_registry.storage.engine import Database
from werkzeug.test import TestResponse

BODY = {"name": "a", "type": "Other"}


def post(api: Api, key: str, body: Any = BODY) -> TestResponse:
    return api.client.post(ASSETS, json=body, headers={"Idempotency-Key": key})


def test_a_repeated_request_gets_the_first_answer_and_creates_nothing(api: Api) -> None:
    first = post(api, "k")
    assert first.status_code == 201
    assert "Idempotent-Replayed" not in first.headers
    api.patch(first.json["id"], {"name": "changed"})
    again = post(api, "k")
    assert (again.status_code, again.data) == (201, first.data)
    assert again.headers["Idempotent-Replayed"] == "true"
    for header in ("ETag", "Location"):
        assert again.headers[header] == first.headers[header]
    assert api.find() == ["changed"]
    assert post(api, "other").json["id"] != first.json["id"]
    assert len(api.find()) == 2


def test_a_key_belongs_to_one_request(api: Api) -> None:
    post(api, "k")
    refusal(post(api, "k", {**BODY, "name": "b"}), 422, "idempotency-key-reused")
    assert api.find() == ["a"]
    for key in ("", "a b", "x" * 256, "\u00e9"):
        refusal(post(api, key), 400, "malformed")


def test_a_refused_request_may_be_corrected_under_its_key(api: Api) -> None:
    """Nothing was carried out, so there is nothing to repeat."""
    refusal(post(api, "k", {"name": ""}), 422, "invalid")
    unready = {**BODY, "status": "Active", "dependsOn": ["a/b/late"]}
    refusal(post(api, "k", unready), 409, "dependencies-not-ready")
    assert post(api, "k").status_code == 201
    assert api.find() == ["a"]


def test_an_answer_is_kept_for_a_day(database: Database) -> None:
    clock = TickingClock()
    api = Api(create_app(database, clock=clock).test_client())
    post(api, "k")
    clock.now += timedelta(hours=23, minutes=59)
    assert "Idempotent-Replayed" in post(api, "k").headers
    clock.now += timedelta(minutes=1)
    assert "Idempotent-Replayed" not in post(api, "k").headers
    assert len(api.find()) == 2


def test_of_requests_at_the_same_time_one_is_carried_out(tmp_path: Path) -> None:
    with serving(tmp_path / "r.db", tmp_path / "log") as server, ThreadPoolExecutor(8) as pool:
        calls = [
            pool.submit(server.call, "POST", ASSETS, BODY, **{"Idempotency-Key": "k"})
            for _ in range(16)
        ]
        answers = [call.result() for call in calls]
        assert {status for status, _ in answers} == {201}
        assert len({asset["id"] for _, asset in answers}) == 1
        assert len(server.call("GET", ASSETS)[1]) == 1
