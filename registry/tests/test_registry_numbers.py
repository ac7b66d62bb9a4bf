"""The numbers that the database keeps are those of its assets after every write."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from registry_harness import ASSETS, Api
from test_registry_effective_status import STEPS, Step, take
from tradingbot_registry.inventory.numbers import COLUMNS, by_column, numbers
from tradingbot_registry.maintenance.checking import check_database
from tradingbot_registry.storage.engine import Database

FACETS = "/api/v1/facets"


def assets(api: Api) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.client.get(f"{ASSETS}?page_size=500").json
    return found


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_after_any_writes_they_are_those_of_the_assets(
    api: Api, database: Database, steps: list[Step]
) -> None:
    for number, step in enumerate(steps):
        take(api, step)
        if step[3] and (there := assets(api)):
            asset = there[step[1] % len(there)]
            api.patch(asset["id"], {"tags": [f"t{step[2] % 3}", f"t{number % 4}"][: step[3] % 3]})
    with database.connection_context():
        kept = {row[:-1]: row[-1] for row in by_column(database, {})}
        assert [each for each in check_database(database).findings if each.fault] == []
    there = assets(api)
    names = ("type", "status", "effectiveStatus", "managedBy")
    assert kept == Counter(tuple(asset[name] for name in names) for asset in there)
    tags = Counter(tag for asset in there for tag in asset["tags"])
    facets = api.client.get(FACETS).json
    assert {each["value"]: each["count"] for each in facets["tag"]} == tags
    for asset in there:
        query = f"status={asset['status']}&type=Other&effective_status={asset['effectiveStatus']}"
        response = api.client.get(f"{ASSETS}?{query}&page_size=500")
        assert f'"total": {len(response.json)},' in response.headers["X-Pagination"]


def test_they_are_of_all_filters_by_columns_together(api: Api, database: Database) -> None:
    api.add("a", status="Active")
    api.add("b", status="Failed", type="Configuration")
    api.upsert("crd/a/c", "c", status="Active", managedBy="crd")
    with database.connection_context():
        found = numbers(database, {"status": ("Active", "Failed"), "managed_by": ("user",)})
        assert (found.everything, found.all) == (3, 2)
        assert dict(found.each) == {"status": 3, "managed_by": 2}
        assert numbers(database, {}).all == 3
    assert set(COLUMNS) == {"type", "status", "effective_status", "managed_by"}


@pytest.mark.parametrize(
    "tampered", ["UPDATE asset_tally SET number = 9", "DELETE FROM asset_tally"]
)
def test_a_check_names_wrong_ones(api: Api, database: Database, tampered: str) -> None:
    api.add("a", tags=["t"])
    with database.connection_context():
        assert check_database(database).faults == 0
        with database.atomic() as transaction:
            database.execute_sql(tampered)
            database.execute_sql("UPDATE tag SET number = 2")
            faults = [each.message for each in check_database(database).findings if each.fault]
            transaction.rollback()
    assert len(faults) == 2
    assert faults[0].startswith("1 assets of type Other, status Draft")
    assert "with tag t" in faults[1]
