"""The files of the two pages: what is served, by which policy, from which releases of npm."""

import hashlib
import json
import re
from pathlib import Path

import pytest
from registry_harness import Api, refusal
from tradingbot_registry.rest import docs, page
from tradingbot_registry.rest.static_files import NPM

TESTED_WITH = Path(__file__).parent / "npm"
PACKAGES = sorted([*NPM.iterdir(), *TESTED_WITH.iterdir()])
LINK = re.compile(r'(?:src|href)="([^":]+)"')


@pytest.mark.parametrize("path", ["/", "/api/v1/docs"])
def test_a_page_loads_nothing_from_elsewhere_and_runs_nothing_inline(api: Api, path: str) -> None:
    shown = api.client.get(path)
    assert shown.content_type == "text/html; charset=utf-8"
    policy = shown.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    links = LINK.findall(shown.text)
    assert len(links) >= 2
    for link in links:
        file = api.client.get(f"{path.rpartition('/')[0]}/{link}")
        assert file.status_code == 200, link
        assert file.headers["X-Content-Type-Options"] == "nosniff"
    assert not re.search(r"<script>|<style|\son\w+=|style=", shown.text)


def test_modules_of_the_page_are_served_with_all_that_they_import(api: Api) -> None:
    for name, path in page.FILES.items():
        file = api.client.get(f"/page/{name}")
        assert file.status_code == 200
        assert file.headers["Content-Security-Policy"]
        if path.suffix != ".css":
            assert file.content_type == "text/javascript; charset=utf-8"
            imports = re.findall(r'^import .*from "([^"]+)"', path.read_text(), re.MULTILINE)
            assert {name.removeprefix("./") for name in imports} <= page.FILES.keys()


def test_a_browser_keeps_a_file_until_its_content_changes(api: Api) -> None:
    first = api.client.get("/page/main.js")
    digest = hashlib.sha256(first.data).hexdigest()
    assert first.headers["ETag"].strip('"') == digest[:32]
    assert first.headers["Cache-Control"] == "no-cache"
    again = api.client.get("/page/main.js", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_only_the_files_of_the_pages_are_served(api: Api) -> None:
    for name in ("index.html", "swagger-ui-bundle.js.map", "..%2f__init__.py", "start.html"):
        refusal(api.client.get(f"/api/v1/docs/{name}"), 404)
    for name in ("index.html", "LICENSE", "package.json", "..%2f__init__.py", "preact.mjs.map"):
        refusal(api.client.get(f"/page/{name}"), 404)


@pytest.mark.parametrize("directory", PACKAGES, ids=lambda path: path.name)
def test_files_of_npm_are_those_of_a_release_with_its_licences(directory: Path) -> None:
    about = json.loads((directory / "package.json").read_text())
    files = {path.name: path.read_bytes() for path in directory.iterdir()}
    del files["package.json"]
    assert about["sha256"] == {
        name: hashlib.sha256(content).hexdigest() for name, content in files.items()
    }
    assert "LICENSE" in files
    assert about["license"]


def test_all_files_that_are_served_are_of_a_package_or_ours() -> None:
    packages = {path.name for path in PACKAGES}
    assert packages == {"axe-core", "dagre", "preact", "swagger-ui-dist"}
    served = {docs.DIRECTORY / name for name in docs.FILES} | set(page.FILES.values())
    assert all(path.is_file() for path in served)
    assert {path.parent for path in served} == {
        *(NPM / name for name in packages - {"axe-core"}),
        page.DIRECTORY,
    }
