"""A POST with an Idempotency-Key may be repeated."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from peewee import fn
from registry_harness import ASSETS, Api, TickingClock, refusal, serving
from tradingbot_registry.app import create_app
from tradingbot_registry.inventory.receipts import Receipts, Repeatable
from tradingbot_registry.rest.request_context import EXTENSION
from tradingbot_registry.storage.engine import Database
from tradingbot_registry.storage.models import Receipt, rows
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


def test_answers_that_take_too_much_are_dropped_and_never_carried_out_twice(
    database: Database,
) -> None:
    clock = TickingClock()
    app = create_app(database, clock=clock)
    service = app.extensions[EXTENSION]
    limit = 64 * 1024
    small = replace(service.store, writes=replace(service.store.writes, receipts=Receipts(limit)))
    app.extensions[EXTENSION] = replace(service, store=small)
    api = Api(app.test_client())
    bodies = [{**BODY, "name": f"a{n}", "config": {"text": "x" * 8000}} for n in range(30)]
    for number, body in enumerate(bodies):
        assert post(api, f"k{number}", body).status_code == 201
        assert kept_bytes(database) <= limit * 9 / 8
    assert kept_bytes(database) > limit / 2
    answers = [post(api, f"k{number}", body) for number, body in enumerate(bodies)]
    replayed = [answer.status_code == 201 for answer in answers]
    assert replayed == sorted(replayed)
    assert 5 < sum(replayed) < 10
    for answer in answers[:-10]:
        refusal(answer, 409, "answer-not-kept")
    assert len(api.find("page_size=100")) == len(bodies)
    # What is dropped is still known by its key, and for a day.
    refusal(post(api, "k0", BODY), 422, "idempotency-key-reused")
    clock.now += timedelta(hours=24)
    assert post(api, "k0", bodies[0]).status_code == 201


def test_a_process_that_begins_looks_at_what_others_have_kept(database: Database) -> None:
    def keep(receipts: Receipts, key: str, size: int) -> None:
        with database.connection_context():
            receipts.answer_once(database, Repeatable(key, "a", "d"), clock(), lambda: ["x" * size])

    clock = TickingClock()
    others = Receipts()
    for number in range(20):
        keep(others, f"k{number}", 10_000)
    assert kept_bytes(database) > 200_000
    keep(Receipts(50_000), "k", 1)
    assert 30_000 < kept_bytes(database) < 50_000


def kept_bytes(database: Database) -> int:
    with database.connection_context():
        return int(rows(database, Receipt.select(fn.SUM(fn.LENGTH(Receipt.answer))))[0][0])
