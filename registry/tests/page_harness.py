"""A real browser for the registry's page: Debian's Chromium, driven by Playwright.

The product does not need it. `make browser` installs it; without it these tests are skipped, and
fail in CI.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from tradingbot_dev.processes.waiting import STUCK_SECONDS

BROWSERS = ("chromium-headless-shell", "chromium", "google-chrome")
STUCK_MILLISECONDS = STUCK_SECONDS * 1000
AXE = Path(__file__).parent / "npm/axe-core/axe.min.js"
PHONE, DESKTOP = (390, 844), (1280, 800)


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Start the browser of this machine; without one, skip the test, or fail it in CI."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        missing = (
            "no browser for the tests of the registry's page: `make browser` installs Chromium"
        )
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    expect.set_options(timeout=STUCK_MILLISECONDS)
    # Chromium has no sandbox for root. It shows our own page only.
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=options)
        yield browser
        browser.close()


@dataclass
class Visitor:
    """A user's tab. `complaints` has what the browser did not like, or was asked of others."""

    page: Page
    root: str
    complaints: list[str] = field(default_factory=list)
    requested: list[str] = field(default_factory=list)

    def open(self, search: str = "") -> None:
        """Open an address of the page, and wait until it is loaded."""
        self.page.goto(f"{self.root}/{search}")
        self.settled()

    def settled(self) -> None:
        """Wait until what the address says is shown."""
        expect(self.page.locator("main:not([aria-busy=true]) h1")).to_be_visible()

    def follow(self, text: str) -> None:
        """Click a link."""
        self.page.get_by_role("link", name=text, exact=True).first.click()
        self.settled()

    def names(self) -> list[str]:
        """Return the first cells of the table's rows."""
        return self.page.locator("tbody th .name").all_inner_texts()

    def accessibility(self) -> list[str]:
        """Return what axe finds."""
        self.page.evaluate(AXE.read_text())
        found: Any = self.page.evaluate("axe.run().then((result) => result.violations)")
        return [
            f"{violation['id']}: {node['html'][:200]}"
            for violation in found
            for node in violation["nodes"]
        ]

    def texts_fit(self) -> bool:
        """Whether each text of a graph is within its box."""
        widths: list[list[float]] = self.page.locator(".box text").evaluate_all(
            "(all) => all.map((text) => [text, text.parentElement.querySelector('rect')]"
            ".map((part) => part.getBoundingClientRect().width))"
        )
        return all(text < box for text, box in widths)

    def is_too_wide(self) -> bool:
        """Whether the page, or a table in it, scrolls sideways."""
        wide: bool = self.page.evaluate(
            "[document.documentElement, ...document.querySelectorAll('.scroll')]"
            ".some((part) => part.scrollWidth > part.clientWidth)"
        )
        return wide


@contextmanager
def visiting(
    browser: Browser, root: str, *, size: tuple[int, int] = DESKTOP, dark: bool = False
) -> Iterator[Visitor]:
    """Open a tab without history and storage, and check at the end that all went well in it."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if dark else "light",
        reduced_motion="reduce",
    )
    context.set_default_timeout(STUCK_MILLISECONDS)
    visitor = Visitor(context.new_page(), root)
    complaints = visitor.complaints
    page = visitor.page
    page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
    page.on("dialog", lambda dialog: (complaints.append("dialog"), dialog.dismiss()))
    page.on("console", lambda message: _note(complaints, message.type, message.text))
    context.on("request", lambda request: visitor.requested.append(request.url))
    try:
        yield visitor
    finally:
        context.close()
    elsewhere = {url for url in visitor.requested if not url.startswith((f"{root}/", "data:"))}
    assert not elsewhere
    assert not complaints


def _note(complaints: list[str], kind: str, text: str) -> None:
    # A refused request is also an error in the console; the page explains it.
    if kind in {"error", "warning"} and not text.startswith("Failed to load resource"):
        complaints.append(f"{kind}: {text}")


def batch(call: Any, assets: list[dict[str, Any]]) -> list[Any]:
    """Create assets, which may name one another as `#name`, and return them."""
    created: list[Any] = []
    for start in range(0, len(assets), 500):
        items = [
            {"op": "create", "ref": f"r{start + number}", "asset": asset}
            for number, asset in enumerate(assets[start : start + 500])
        ]
        status, answer = call("POST", "/api/v1/assets:batch", {"items": items})
        assert status in {200, 201}, json.dumps(answer)[:2000]
        created += [item["asset"] for item in answer["items"]]
    return created
