"""Reports of bots: stored beside the assets, without a change of them."""

from typing import Any

import pytest
from registry_harness import ASSETS, Api, refusal

REPORTS = "/api/v1/reports"
REF = "tradingbot/default/walker"
AT = "2026-01-01T12:00:00Z"


def report(day_pnl: str = "-12.5", ref: str = REF, at: str = AT) -> Any:
    return {"externalRef": ref, "dayPnL": day_pnl, "at": at}


def post(api: Api, *reports: Any) -> Any:
    return api.client.post(REPORTS, json={"reports": list(reports)})


def shown(api: Api, *assets: Any, query: str = "") -> Any:
    ids = "&".join(f"asset={asset['id']}" for asset in assets)
    response = api.client.get(f"{REPORTS}?{ids}{query}")
    assert response.status_code == 200, response.text
    return response.json["reports"]


def test_the_last_report_of_each_asset_is_shown(api: Api) -> None:
    walker, other, silent = (
        api.upsert(f"tradingbot/default/{name}", name).json for name in ("walker", "b", "c")
    )
    assert post(api, report(), report("3", "tradingbot/default/b")).json == {"unknown": []}
    assert post(api, report("1.71", at="2026-01-01T12:00:30+00:00")).status_code == 200
    assert shown(api, silent, other, walker) == [
        {"assetId": walker["id"], "dayPnL": "1.71", "at": "2026-01-01T12:00:30.000000Z"},
        {"assetId": other["id"], "dayPnL": "3", "at": "2026-01-01T12:00:00.000000Z"},
    ]


def test_of_several_reports_of_an_asset_the_last_one_counts(api: Api) -> None:
    walker = api.upsert(REF).json
    assert post(api, report("1"), report("2")).json == {"unknown": []}
    assert [found["dayPnL"] for found in shown(api, walker)] == ["2"]


def test_a_report_is_no_change_of_the_asset(api: Api) -> None:
    walker = api.upsert(REF).json
    path = f"{ASSETS}/{walker['id']}"
    tag = api.client.get(path).headers["ETag"]
    last = api.client.get("/api/v1/changes").json["last"]
    assert post(api, report()).status_code == 200
    assert api.get(walker["id"]) == walker
    assert api.client.get(path, headers={"If-None-Match": tag}).status_code == 304
    assert api.client.get("/api/v1/changes").json["last"] == last


def test_a_report_of_no_asset_is_dropped_and_named(api: Api) -> None:
    walker = api.upsert(REF).json
    answer = post(api, report(ref="tradingbot/default/absent"), report())
    assert answer.json == {"unknown": ["tradingbot/default/absent"]}
    absent = api.upsert("tradingbot/default/absent").json
    assert [found["assetId"] for found in shown(api, walker, absent)] == [walker["id"]]


def test_a_report_is_gone_with_its_asset(api: Api) -> None:
    walker = api.upsert(REF).json
    post(api, report())
    assert api.client.delete(f"{ASSETS}/by-ref/{REF}").status_code == 204
    again = api.upsert(REF).json
    assert shown(api, walker, again) == []


def test_readers_of_a_namespace_see_its_reports(api: Api) -> None:
    here, there = (
        api.upsert(f"tradingbot/{namespace}/bot").json for namespace in ("default", "desk")
    )
    post(api, *(report(ref=bot["externalRef"]) for bot in (here, there)))
    seen = shown(api, here, there, query="&namespace=desk")
    assert [found["assetId"] for found in seen] == [there["id"]]


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        ({"dayPnL": 1.5}, "/reports/0/dayPnL"),
        ({"dayPnL": "1e3"}, "/reports/0/dayPnL"),
        ({"dayPnL": "1\n"}, "/reports/0/dayPnL"),
        ({"externalRef": "walker"}, "/reports/0/externalRef"),
        ({"at": "today"}, "/reports/0/at"),
        ({"exposure": "1"}, "/reports/0/exposure"),
    ],
)
def test_what_is_not_a_report_is_refused(api: Api, wrong: Any, place: str) -> None:
    problem = refusal(post(api, report() | wrong), 422, "invalid")
    assert [error["pointer"] for error in problem["errors"]] == [place]


def test_reports_are_of_one_asset_at_least_and_of_500_at_most(api: Api) -> None:
    walker = api.upsert(REF).json
    refusal(post(api), 422, "invalid")
    refusal(post(api, *[report()] * 501), 422, "invalid")
    assert post(api, *[report()] * 500).status_code == 200
    refusal(api.client.get(REPORTS), 422, "invalid")
    ids = "&".join([f"asset={walker['id']}"] * 501)
    refusal(api.client.get(f"{REPORTS}?{ids}"), 422, "invalid")
