"""The page at `/` in a real browser: what it shows, how it is used, how it is read."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any

import pytest
from page_harness import DESKTOP, PHONE, Visitor, batch, visiting
from playwright.sync_api import Browser, expect
from registry_harness import ASSETS, MERGE_PATCH, Server, serving

BOTS = 400
REPORTED_AT = f"{datetime.now(UTC) - timedelta(days=2, hours=1):%Y-%m-%dT%H:%M:%S.000000Z}"
CHAINS = 25
CHAIN = ("store", "queue", "service", "report")


@dataclass(frozen=True)
class Inventory:
    """A registry with 500 assets and more, by name."""

    server: Server
    ids: dict[str, str]

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    def patch(self, name: str, **changes: Any) -> None:
        """Change an asset."""
        status, answer = self.server.call(
            "PATCH", f"{ASSETS}/{self.ids[name]}", changes, **{"Content-Type": MERGE_PATCH}
        )
        assert status == 200, answer


@pytest.fixture(scope="module")
def inventory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inventory]:
    directory = tmp_path_factory.mktemp("registry")
    with serving(directory / "r.db", directory / "log") as server:
        exchange = {
            "name": "binance",
            "type": "ApiEndpoint",
            "status": "Active",
            "config": {"url": "https://api.binance.com"},
            "managedBy": "operator",
        }
        _, answer = server.call("PUT", f"{ASSETS}/by-ref/exchange/global/binance", exchange)
        found = [answer, *(_bot(server, number) for number in range(3))]
        bots = [
            {
                "name": f"copy-{number}",
                "type": "KubernetesDeployment",
                "dependsOn": [answer["id"]],
                "config": {"namespace": "desk", "name": f"copy-{number}"},
            }
            for number in range(BOTS)
        ]
        chains = [
            {
                "name": f"{kind}-{chain}",
                "type": "Other",
                "tags": ["env:prod", f"chain-{chain}"],
                "status": "Failed" if (kind, chain) == ("store", 0) else "Draft",
                "dependsOn": [f"#r{chain * len(CHAIN) + place - 1}"] if place else [],
            }
            for chain in range(CHAINS)
            for place, kind in enumerate(CHAIN)
        ]
        found += batch(server.call, chains) + batch(server.call, bots)
        reported = {"externalRef": "tradingbot/desk/bot-0", "dayPnL": "-12.5", "at": REPORTED_AT}
        assert server.call("POST", "/api/v1/reports", {"reports": [reported]})[0] == 200
        yield Inventory(server, {asset["name"]: asset["id"] for asset in found})


def _bot(server: Server, number: int) -> Any:
    body = {
        "name": f"bot-{number}",
        "type": "KubernetesDeployment",
        "status": "Active",
        "managedBy": "operator",
        "dependsOn": ["exchange/global/binance"],
        "config": {
            "namespace": "desk",
            "name": f"bot-{number}",
            "strategy": "Grid",
            "mode": "Paper",
            "phase": ("Running", "Degraded", "Stopping")[number],
        },
    }
    return server.call("PUT", f"{ASSETS}/by-ref/tradingbot/desk/bot-{number}", body)[1]


@pytest.fixture
def visitor(browser: Browser, inventory: Inventory) -> Iterator[Visitor]:
    with visiting(browser, inventory.root) as visitor:
        yield visitor


def test_filters_are_in_the_address_and_come_back_with_it(visitor: Visitor) -> None:
    visitor.open()
    page = visitor.page
    assert len(visitor.names()) == 50
    page.get_by_label(re.compile("^Degraded")).check()
    expect(page).to_have_url(re.compile("effective_status=Degraded"))
    expect(page.get_by_text("3 assets of 504")).to_be_visible()
    assert set(visitor.names()) == {"queue-0", "service-0", "report-0"}
    page.get_by_label("Text in name or description").fill("SERVICE")
    page.keyboard.press("Enter")
    expect(page.get_by_text("1 asset of 504")).to_be_visible()
    address = page.url
    page.reload()
    visitor.settled()
    assert visitor.names() == ["service-0"]
    expect(page.get_by_label("Text in name or description")).to_have_value("SERVICE")
    page.go_back()
    expect(page.get_by_text("3 assets of 504")).to_be_visible()
    expect(page.get_by_label("Text in name or description")).to_have_value("")
    page.goto(address)
    visitor.settled()
    visitor.follow("Remove all filters")
    expect(page.get_by_text("504 assets", exact=True)).to_be_visible()
    page.get_by_label("Tag", exact=True).fill("chain-7")
    page.keyboard.press("Enter")
    expect(page.get_by_text("4 assets of 504")).to_be_visible()
    page.get_by_role("link", name="Remove chain-7").click()
    expect(page.get_by_text("504 assets", exact=True)).to_be_visible()


def test_pages_and_the_order_are_in_the_address(visitor: Visitor) -> None:
    visitor.open("?page_size=3&tag=chain-1")
    visitor.follow("Name")
    expect(visitor.page.get_by_role("columnheader", name="Name")).to_have_attribute(
        "aria-sort", "ascending"
    )
    assert visitor.names() == ["queue-1", "report-1", "service-1"]
    visitor.follow("Next page")
    expect(visitor.page).to_have_url(re.compile("cursor="))
    expect(visitor.page.locator("tbody tr")).to_have_count(1)
    assert visitor.names() == ["store-1"]
    visitor.follow("First page")
    expect(visitor.page.locator("tbody tr")).to_have_count(3)


def test_an_asset_has_its_causes_edges_and_history(visitor: Visitor, inventory: Inventory) -> None:
    inventory.patch("report-0", description="daily", tags=["a"])
    visitor.open(f"?view=asset&id={inventory.ids['report-0']}")
    main = visitor.page.locator("main")
    expect(main.locator(".health")).to_have_text(
        "Degraded Its own status is Draft. Because of store-0 (Failed)."
    )
    edges = visitor.page.get_by_role("region", name="Depends on")
    assert edges.get_by_role("link").all_inner_texts() == ["service-0"]
    visitor.follow("Show indirect edges too")
    expect(edges.get_by_role("link")).to_have_count(3)
    history = visitor.page.get_by_role("region", name="History")
    assert history.locator("strong").all_inner_texts() == ["updated", "created"]
    expect(history.locator("li li").filter(has_text="description")).to_contain_text("→ daily")
    visitor.follow("store-0")
    expect(visitor.page.get_by_role("heading", level=1)).to_have_text("store-0")
    expect(visitor.page.get_by_role("heading", level=1)).to_be_focused()
    assert visitor.page.title() == "store-0 | Asset registry"


def test_the_history_of_a_deleted_asset_is_still_there(
    visitor: Visitor, inventory: Inventory
) -> None:
    _, asset = inventory.server.call("POST", ASSETS, {"name": "brief", "type": "Other"})
    assert inventory.server.call("DELETE", f"{ASSETS}/{asset['id']}")[0] == 204
    visitor.open(f"?view=asset&id={asset['id']}")
    expect(visitor.page.get_by_text("This asset was deleted.")).to_be_visible()
    assert visitor.page.locator(".history strong").all_inner_texts() == ["deleted", "created"]


def test_bots_have_their_phase_and_what_they_depend_on(visitor: Visitor) -> None:
    visitor.open("?view=bots")
    rows = visitor.page.locator("tbody tr")
    texts = [" ".join(row.split()) for row in rows.all_inner_texts()]
    assert [" ".join(text.split()[:6]) for text in texts] == [
        "bot-0 in desk Running -12.5 2",
        "bot-1 in desk Degraded not known",
        "bot-2 in desk Stopping not known",
    ]
    age = rows.first.get_by_text("2 days ago")
    expect(age).to_have_attribute("datetime", REPORTED_AT)
    visitor.follow("binance")
    expect(visitor.page.get_by_role("heading", level=1)).to_have_text("binance")


def test_a_change_in_the_registry_shows_without_a_reload(
    visitor: Visitor, inventory: Inventory
) -> None:
    visitor.open("?tag=chain-3")
    search = visitor.page.get_by_label("Text in name or description")
    with visitor.page.expect_request(re.compile(r"since=\d+&wait=")):
        search.press_sequentially("typing")
    inventory.patch("store-3", status="Failed")
    failed = visitor.page.get_by_role("row", name=re.compile("store-3")).get_by_text("Failed")
    expect(failed).to_be_visible()
    # What the user does meanwhile is left alone.
    expect(search).to_have_value("typing")
    expect(search).to_be_focused()


def boxes(visitor: Visitor) -> list[dict[str, float]]:
    found: list[dict[str, float]] = visitor.page.locator(".box").evaluate_all(
        "(all) => all.map((one) => one.querySelector('rect:last-of-type').getBoundingClientRect())"
        ".map(({x, y, width, height}) => ({x, y, width, height}))"
    )
    return found


def test_a_graph_of_500_assets_is_readable_and_leads_on(
    visitor: Visitor, inventory: Inventory
) -> None:
    visitor.open("?view=graph")
    page = visitor.page
    expect(page.get_by_text("500 assets and")).to_be_visible()
    copies = page.locator(".box.many")
    expect(copies).to_have_count(1)
    assert len(boxes(visitor)) == CHAINS * len(CHAIN) + 5
    check_readable(visitor)
    copies.first.click()
    expect(page.locator(".box.many")).to_have_count(0)
    assert len(boxes(visitor)) == 500
    check_readable(visitor)

    page.locator(".box", has_text="queue-5").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Graph of queue-5")
    assert {text.split(" ")[0] for text in page.locator(".box title").all_text_contents()} == {
        f"{kind}-5" for kind in CHAIN
    }
    page.get_by_label("Direction").select_option("dependencies")
    expect(page.locator(".box")).to_have_count(2)
    page.get_by_text("The same as a list").click()
    expect(page.locator("tbody tr")).to_have_text(["queue-5store-5"])
    page.locator(".box.root").click()
    expect(page).to_have_url(f"{inventory.root}/?view=asset&id={inventory.ids['queue-5']}")


def check_readable(visitor: Visitor) -> None:
    """No box covers another, and no text is larger than its box or tiny."""
    found = boxes(visitor)
    assert not any(
        abs(one["x"] - other["x"]) < one["width"] - 1
        and abs(one["y"] - other["y"]) < one["height"] - 1
        for one, other in combinations(found, 2)
    )
    assert visitor.texts_fit()
    smallest: float = visitor.page.evaluate(
        "document.querySelector('.canvas svg').getScreenCTM().a * 12"
    )
    assert smallest >= 9


def test_the_keyboard_is_enough(visitor: Visitor) -> None:
    visitor.open()
    keyboard, page = visitor.page.keyboard, visitor.page
    keyboard.press("Tab")
    expect(page.get_by_text("Skip to the content")).to_be_focused()
    keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    keyboard.press("Tab")
    expect(page.get_by_text("Filters", exact=True)).to_be_focused()
    keyboard.press("Tab")
    keyboard.press("Tab")
    keyboard.press("Space")
    expect(page).to_have_url(re.compile("effective_status="))
    focused = page.locator("input:focus")
    expect(focused).to_be_checked()
    visitor.settled()
    page.get_by_role("link", name="Name", exact=True).focus()
    keyboard.press("Enter")
    expect(page).to_have_url(re.compile("sort=name"))


@pytest.mark.parametrize(
    ("size", "dark"), [(PHONE, True), (DESKTOP, False)], ids=["dark phone", "light desktop"]
)
def test_views_are_accessible_and_fit(
    browser: Browser, inventory: Inventory, size: tuple[int, int], dark: bool
) -> None:
    ids = inventory.ids
    searches = ("?page_size=5", "?q=nothing-is-called-so", "?view=bots", "?type=wrong")
    near = (f"?view=asset&id={ids['report-0']}", f"?view=graph&root={ids['queue-5']}")
    with visiting(browser, inventory.root, size=size, dark=dark) as visitor:
        for search in (*searches, *near):
            visitor.open(search)
            assert visitor.accessibility() == [], search
            assert not visitor.is_too_wide(), search
