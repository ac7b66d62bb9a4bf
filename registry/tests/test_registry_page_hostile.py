"""The page among hostile names, without a token, and with a registry that fails."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from page_harness import PHONE, Visitor, batch, visiting
from playwright.sync_api import Browser, Route, expect
from registry_harness import ASSETS, MERGE_PATCH, Server, serving
from tradingbot_registry.app import create_app, prepared_database
from tradingbot_registry.refusals import ForbiddenError, UnauthenticatedError
from werkzeug.serving import make_server

MARKUP = (
    "<img src=x onerror=alert(1)>",
    "<script>alert(2)</script>",
    "\"'><svg onload=alert(3)>",
    "javascript:alert(4)",
    "{{7*7}} ${7*7} </style></title>",
)
LONG = "W" * 200
RIGHT_TO_LEFT = "قاعدة بيانات الطلبات"
NAMES = (*MARKUP, LONG, RIGHT_TO_LEFT)
MANY_TAGS = 10_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("registry")
    with serving(directory / "r.db", directory / "log") as server:
        yield server


def text_asset(name: str, place: int) -> dict[str, Any]:
    return {
        "name": name,
        "type": "Other",
        "description": name,
        "config": {name: [name]},
        "dependsOn": [f"#r{place - 1}"] if place else [],
    }


def test_texts_of_the_registry_are_never_markup(browser: Browser, server: Server) -> None:
    created = batch(server.call, [text_asset(name, place) for place, name in enumerate(NAMES)])
    ids = [asset["id"] for asset in created]
    for asset_id in ids:
        patch = {"description": " ".join(MARKUP), "config": {"to": MARKUP[0]}}
        status, _ = server.call(
            "PATCH", f"{ASSETS}/{asset_id}", patch, **{"Content-Type": MERGE_PATCH}
        )
        assert status == 200
    with visiting(browser, f"http://127.0.0.1:{server.port}", size=PHONE) as visitor:
        visitor.open("?sort=created_at")
        assert visitor.names() == list(NAMES)
        searches = ["?q=%3Cimg", "?view=graph", *(f"?view=asset&id={each}" for each in ids)]
        for search in [*searches, f"?view=graph&root={ids[1]}&depth=1"]:
            visitor.open(search)
            assert visitor.page.locator("main :is(img, script, style, iframe, object)").count() == 0
            assert visitor.page.locator("main svg svg, main svg[onload]").count() == 0
            assert not visitor.is_too_wide(), search
            assert visitor.texts_fit(), search
        visitor.open(f"?view=asset&id={ids[0]}")
        assert visitor.page.locator("h1").inner_text() == NAMES[0]
        assert MARKUP[0] in visitor.page.get_by_label("Configuration").inner_text()
        visitor.open(f"?view=asset&id={ids[-1]}")
        direction = "getComputedStyle(document.querySelector('h1')).direction"
        assert visitor.page.evaluate(direction) == "rtl"


HOSTILE_ADDRESSES = (
    "?view=constructor",
    "?view=__proto__",
    "?view=asset&id=../changes",
    "?view=asset&id=%3Cscript%3Ealert(1)%3C/script%3E",
    "?view=graph&root=x&depth=%22",
    "?type=%3Cimg%20src=x%20onerror=alert(1)%3E",
    "?cursor=forged",
    "?sort=--name",
    "?page_size=9999999999",
)


def test_a_wrong_address_is_explained(browser: Browser, server: Server) -> None:
    with visiting(browser, f"http://127.0.0.1:{server.port}") as visitor:
        for search in HOSTILE_ADDRESSES:
            visitor.open(search)
            text = visitor.page.get_by_role("alert").inner_text()
            assert re.match("The registry does not understand|There is no such asset", text), search


def test_ten_thousand_tags_do_not_stop_the_page(browser: Browser, server: Server) -> None:
    tags = [f"tag-{number:05}" for number in range(MANY_TAGS)]
    batch(
        server.call,
        [
            {"name": f"tagged-{first}", "type": "Other", "tags": tags[first : first + 32]}
            for first in range(0, MANY_TAGS, 32)
        ],
    )
    with visiting(browser, f"http://127.0.0.1:{server.port}") as visitor:
        visitor.open("?q=tagged&page_size=100")
        expect(visitor.page.locator("tbody tr")).to_have_count(100)
        assert visitor.page.locator("tbody .tag").count() == 6 * 100
        assert visitor.page.locator("datalist option").count() <= 200
        visitor.open("?tag=tag-09999")
        assert len(visitor.names()) == 1


TOKENS = {"reads": {"get", "list"}, "writes": {"create"}, "reads-nothing": set[str]()}


class TokenGate:
    """Knows the tokens above."""

    def admit(self, authorization: str | None, verbs: tuple[str, ...]) -> str:
        token = (authorization or "").removeprefix("Bearer ")
        if token not in TOKENS:
            raise UnauthenticatedError("send a valid token as `Authorization: Bearer`")
        if missing := set(verbs) - TOKENS[token]:
            raise ForbiddenError(f"{token} may not {', '.join(sorted(missing))} assets")
        return token


@contextmanager
def guarded(directory: Path) -> Iterator[str]:
    """Serve a registry that asks for a token, and return its address."""
    database = prepared_database(f"sqlite:///{directory / 'guarded.db'}")
    web = make_server("127.0.0.1", 0, create_app(database, gate=TokenGate()), threaded=True)
    thread = threading.Thread(target=web.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{web.server_port}"
    finally:
        web.shutdown()
        thread.join()
        web.server_close()


def sign_in(visitor: Visitor, token: str, *, keep: bool = False) -> None:
    visitor.page.get_by_label("Token", exact=True).fill(token)
    visitor.page.get_by_label(re.compile("^Keep it")).set_checked(keep)
    visitor.page.get_by_role("button", name="Sign in").click()
    visitor.settled()


def stored(visitor: Visitor) -> str:
    text: str = visitor.page.evaluate(
        "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])"
    )
    return text


def test_a_token_is_asked_for_and_kept_out_of_sight(browser: Browser, tmp_path: Path) -> None:
    with guarded(tmp_path) as root, visiting(browser, root) as visitor:
        visitor.open("?type=Other")
        page = visitor.page
        expect(page.get_by_role("heading", level=1)).to_have_text("Sign in with a token")
        expect(page.get_by_text("kubectl create token")).to_be_visible()
        assert page.get_by_role("alert").count() == 0
        assert visitor.accessibility() == []
        sign_in(visitor, "wrong")
        expect(page.get_by_role("alert")).to_contain_text("does not accept the token")
        sign_in(visitor, "reads-nothing")
        expect(page.get_by_role("alert")).to_contain_text("You may not see this: reads-nothing may")
        page.get_by_role("button", name="Sign out").click()
        sign_in(visitor, "reads")
        expect(page.get_by_text("No asset matches these filters.")).to_be_visible()
        assert "reads" not in stored(visitor)
        page.reload()
        expect(page.get_by_role("heading", level=1)).to_have_text("Sign in with a token")
        sign_in(visitor, "reads", keep=True)
        page.reload()
        expect(page.get_by_text("No asset matches these filters.")).to_be_visible()
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Sign in with a token")
        assert "reads" not in stored(visitor)
        assert not [url for url in visitor.requested if "reads" in url]


def test_what_may_not_be_seen_any_more_is_out_of_sight(browser: Browser, tmp_path: Path) -> None:
    with guarded(tmp_path) as root, visiting(browser, root) as visitor:
        made = visitor.page.request.post(
            f"{root}{ASSETS}",
            data={"name": "secret-project", "type": "Other"},
            headers={"Authorization": "Bearer writes"},
        )
        assert made.status == 201
        visitor.open()
        sign_in(visitor, "reads")
        assert visitor.names() == ["secret-project"]
        allowed, TOKENS["reads"] = TOKENS["reads"], set()
        try:
            visitor.follow("Name")
            expect(visitor.page.get_by_role("alert")).to_contain_text("You may not see this")
            assert "secret-project" not in visitor.page.content()
            del TOKENS["reads"]
            visitor.page.get_by_role("button", name="Try again").click()
            expect(visitor.page.get_by_role("alert")).to_contain_text("does not accept the token")
            expect(visitor.page.get_by_label("Token", exact=True)).to_be_visible()
        finally:
            TOKENS["reads"] = allowed


def test_a_registry_that_stops_is_named_and_comes_back_by_itself(
    browser: Browser, tmp_path: Path
) -> None:
    with serving(tmp_path / "r.db", tmp_path / "log") as first:
        port = first.port
        assert first.call("POST", ASSETS, {"name": "kept", "type": "Other"})[0] == 201
        context = visiting(browser, f"http://127.0.0.1:{port}")
        visitor = context.__enter__()
        visitor.open()
    alert = visitor.page.get_by_role("alert")
    expect(alert).to_contain_text("The registry does not answer.")
    expect(alert).to_contain_text("What you see may be old.")
    assert visitor.names() == ["kept"]
    with serving(tmp_path / "r.db", tmp_path / "log", TRADINGBOT_REGISTRY_PORT=str(port)):
        expect(alert).to_have_count(0)
        assert visitor.names() == ["kept"]
        context.__exit__(None, None, None)


PROBLEM = {"title": "x", "status": 503, "detail": "others change this asset all the time"}


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (503, json.dumps(PROBLEM), "The registry answered 503: others change this asset all the"),
        (502, "<h1>Bad gateway</h1>", "The registry answered 502: the answer is not the registry"),
        (200, "<h1>Log in</h1>", "The registry answered 200: the answer is not the registry's"),
    ],
)
def test_what_something_between_answers_is_a_sentence(
    browser: Browser, server: Server, status: int, body: str, said: str
) -> None:
    def answer(route: Route) -> None:
        route.fulfill(status=status, body=body)

    with visiting(browser, f"http://127.0.0.1:{server.port}") as visitor:
        visitor.page.route("**/api/v1/**", answer)
        visitor.open()
        expect(visitor.page.get_by_role("alert")).to_contain_text(said)
