"""`tradingbot assets` against a real registry."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from in_process import run_here
from tradingbot_dev.processes.waiting import STUCK_SECONDS

DATABASE = """
externalRef: team/orders/db
name: orders-db
type: DatabaseConnection
status: Active
tags: [env:prod]
config: {engine: postgres, host: db.internal, database: orders}
secretRef: {name: orders-db, key: password}
"""
MATCHER = """
externalRef: team/orders/matcher
name: matcher
type: KubernetesDeployment
status: Active
config: {namespace: trading, name: matcher}
dependsOn: [team/orders/db]
"""


@dataclass(frozen=True)
class Registry:
    """A registry of this test's own, and the command against it."""

    url: str
    directory: Path

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if "TRADINGBOT" not in name}
        own = {"TRADINGBOT_ASSETS_URL": self.url, "KUBECONFIG": "/nonexistent"}
        return run_here("assets", *arguments, environment=kept | own, stdin=stdin)

    def done(self, *arguments: str, stdin: str = "") -> str:
        ended = self.run(*arguments, stdin=stdin)
        assert (ended.returncode, ended.stderr) == (0, "")
        return ended.stdout

    def file(self, *documents: str) -> str:
        path = self.directory / "assets.yaml"
        path.write_text("---".join(documents))
        return str(path)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    log = tmp_path / "log"
    kept = {name: value for name, value in os.environ.items() if "TRADINGBOT" not in name}
    with log.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "tradingbot_cli", "registry", "--port=0"],
            env=kept | {"TRADINGBOT_REGISTRY_DATABASE_URL": f"sqlite:///{tmp_path / 'r.db'}"},
            stderr=stream,
        )
    try:
        yield Registry(address(process, log), tmp_path)
    finally:
        process.kill()
        process.wait()


def address(process: subprocess.Popen[Any], log: Path) -> str:
    """The URL of a registry, from its log."""
    deadline = time.monotonic() + STUCK_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        for line in log.read_text().splitlines():
            if '"url"' in line:
                return str(json.loads(line)["url"])
        time.sleep(0.02)
    raise AssertionError(log.read_text())


@pytest.fixture
def filled(registry: Registry) -> Registry:
    registry.done("apply", "-f", registry.file(MATCHER, DATABASE))
    return registry


def test_apply_is_idempotent_and_puts_dependencies_first(registry: Registry) -> None:
    file = registry.file(MATCHER, DATABASE)  # The matcher is Active, and needs what follows it.
    plan = "team/orders/db: created (dry run)\nteam/orders/matcher: created (dry run)\n"
    assert registry.done("apply", "-f", file, "--dry-run") == plan
    assert registry.done("list", "-o", "name") == ""
    assert registry.done("apply", "-f", file) == plan.replace(" (dry run)", "")
    same = "team/orders/db: unchanged\nteam/orders/matcher: unchanged\n"
    assert registry.done("apply", "-f", "-", stdin=Path(file).read_text()) == same
    assert registry.done("apply", "-f", file, "--dry-run") == same.replace(
        "unchanged", "unchanged (dry run)"
    )
    file = registry.file(DATABASE.replace("orders-db", "orders", 1), MATCHER)
    assert "team/orders/db: changed: name (dry run)" in registry.done(
        "apply", "-f", file, "--dry-run"
    )
    assert "team/orders/db: changed\n" in registry.done("apply", "-f", file)
    assets = yaml.safe_load(registry.done("list", "-o", "yaml"))
    assert [(asset["name"], asset["version"]) for asset in assets] == [
        ("orders", 2),
        ("matcher", 1),
    ]


def test_what_is_printed_can_be_applied(filled: Registry) -> None:
    for output in ("yaml", "json"):
        text = filled.done("list", "-o", output)
        done = filled.done("apply", "-f", "-", stdin=text)
        assert done == "team/orders/db: unchanged\nteam/orders/matcher: unchanged\n"
    one = filled.done("get", "team/orders/db", "-o", "yaml").replace("orders-db", "renamed", 1)
    assert filled.done("apply", "-f", "-", stdin=one) == "team/orders/db: changed\n"


ODD_TEXTS = [
    "y",
    "no",
    "0o17",
    "012",
    "1e3",
    "0x1F",
    "~",
    "null",
    "1_000",
    "2026-01-01",
    "a: b",
    "#",
    "é",
]


def test_yaml_is_read_as_the_text_that_it_was(registry: Registry) -> None:
    asset = {
        "externalRef": "team/a/b",
        "name": "y",
        "type": "Other",
        "config": {"texts": ODD_TEXTS},
    }
    registry.done("apply", "-f", "-", stdin=json.dumps(asset))
    text = registry.done("list", "-o", "yaml")
    assert registry.done("apply", "-f", "-", stdin=text) == "team/a/b: unchanged\n"


def test_a_list_has_the_filters_of_the_api(filled: Registry) -> None:
    table = filled.done("list").splitlines()
    assert table[0].split() == ["ID", "NAME", "TYPE", "STATUS", "EFFECTIVE", "MANAGED-BY"]
    assert [line.split()[1:] for line in table[1:]] == [
        ["orders-db", "DatabaseConnection", "Active", "Active", "user"],
        ["matcher", "KubernetesDeployment", "Active", "Active", "user"],
    ]
    assert "team/orders/db" in filled.done("list", "-o", "wide")
    for filters in (
        ("--type", "DatabaseConnection"),
        ("--tag", "env:prod"),
        ("-q", "ORDERS-D"),
        ("--external-ref-prefix", "team/orders/d"),
        ("--sort=-name", "--limit", "1"),
    ):
        assert len(filled.done("list", "-o", "name", *filters).splitlines()) == 1
    assert filled.done("list", "--status", "Failed", "-o", "json") == "[\n]\n"
    refused = filled.run("list", "--sort", "size", "--updated-since", "now")
    assert refused.returncode == 1
    assert "updated_since: " in refused.stderr
    assert "sort: " in refused.stderr


def test_a_list_has_every_page(registry: Registry) -> None:
    many = [{"externalRef": f"team/a/n{n}", "name": f"n{n}", "type": "Other"} for n in range(503)]
    from urllib.request import Request, urlopen

    for part in (many[:500], many[500:]):
        items = [{"op": "create", "asset": {k: v for k, v in each.items() if k != "externalRef"}}
                 for each in part]  # fmt: skip
        request = Request(
            f"{registry.url}/api/v1/assets:batch",
            json.dumps({"items": items}).encode(),
            {"Content-Type": "application/json"},
        )
        urlopen(request, timeout=STUCK_SECONDS).close()
    assert len(set(registry.done("list", "-o", "name").splitlines())) == 503
    assert len(json.loads(registry.done("list", "-o", "json", "--limit", "501"))) == 501
    assert len(registry.done("list").splitlines()) == 504


def test_get_shows_one_or_several(filled: Registry) -> None:
    asset = json.loads(filled.done("get", "team/orders/db", "-o", "json"))
    assert asset["secretRef"] == {"name": "orders-db", "key": "password"}
    assert yaml.safe_load(filled.done("get", asset["id"], "-o", "yaml")) == asset
    both = filled.run("get", "team/orders/db", "team/orders/absent", "x", "-o", "name")
    assert (both.returncode, both.stdout) == (1, asset["id"] + "\n")
    error = "tradingbot: error:"
    assert both.stderr.splitlines() == [
        f"{error} team/orders/absent: no asset has the external reference team/orders/absent",
        f"{error} x: 'x' is neither the id of an asset nor a reference SOURCE/NAMESPACE/NAME",
    ]


def test_a_graph_has_each_format(filled: Registry) -> None:
    assert filled.done("graph").startswith("flowchart LR\n")
    assert filled.done("graph", "-o", "dot").startswith("digraph")
    around = json.loads(
        filled.done("graph", "team/orders/db", "--direction", "dependencies", "-o", "json")
    )
    assert [node["name"] for node in around["nodes"]] == ["orders-db"]


def test_a_deletion_shows_what_blocks_it(filled: Registry) -> None:
    dry = filled.run("delete", "team/orders/db", "--dry-run")
    assert dry.returncode == 1
    assert dry.stdout == (
        "team/orders/db: would not be deleted (dry run)\n  team/orders/matcher  matcher\n"
    )
    refused = filled.run("delete", "team/orders/db")
    assert refused.returncode == 1
    assert refused.stderr.splitlines()[1:] == ["  team/orders/matcher  matcher"]
    assert filled.run("delete", "team/orders/matcher", "typo").returncode == 1
    assert filled.done("delete", "team/orders/matcher", "team/orders/db") == (
        "team/orders/matcher: deleted\nteam/orders/db: deleted\n"
    )
    assert filled.run("delete", "team/orders/db").returncode == 1
    assert filled.done("delete", "team/orders/db", "--ignore-not-found") == ""


def test_every_mistake_of_all_files_is_shown_with_its_line_and_nothing_is_applied(
    registry: Registry,
) -> None:
    wrong = registry.file(
        DATABASE,
        "\nname: api\ntype: ApiEndpoint\nstatus: Active\nconfig: {apiKey: hunter2-hunter2}\n",
        "\nexternalRef: team/a/b\nname: ' x'\ntype: Nothing\ncolour: red\n",
        "\napiVersion: trading.io/v1\nkind: TradingBot\n",
    )
    done = registry.run("apply", "-f", wrong)
    assert (done.returncode, done.stdout) == (1, "")
    lines = [line.removeprefix(f"tradingbot: error: {wrong}:") for line in done.stderr.splitlines()]
    starts = ("10:1: /config/url", "10:", "10:", "16:", "17:", "18:", "20:")
    assert len(lines) >= len(starts), lines
    assert any("/config/url: an asset of type ApiEndpoint needs it" in line for line in lines)
    assert any("/config/apiKey: looks like a credential" in line for line in lines)
    assert any("needs an externalRef" in line for line in lines)
    assert any("/name: may not begin or end with white space" in line for line in lines)
    assert any("/type: Input should be" in line for line in lines)
    assert any("/colour" in line for line in lines)
    assert any("use kubectl apply" in line for line in lines)
    assert lines[-1].endswith("nothing was applied")
    assert "hunter2" not in done.stderr
    assert registry.done("list", "-o", "name") == ""


def test_what_the_registry_refuses_does_not_keep_the_others_from_being_applied(
    registry: Registry,
) -> None:
    cycle = DATABASE + "dependsOn: [team/orders/matcher]\n"
    done = registry.run(
        "apply",
        "-f",
        registry.file(cycle, MATCHER, "\nname: c\ntype: Other\nexternalRef: team/a/c\n"),
    )
    assert done.returncode == 1
    assert "team/a/c: created" in done.stdout
    assert "an Active asset needs all its dependencies" in done.stderr


def test_an_asset_of_a_controller_is_not_taken_over(registry: Registry) -> None:
    from urllib.request import Request, urlopen

    request = Request(
        f"{registry.url}/api/v1/assets/by-ref/crd/default/x.y",
        b'{"name": "y", "type": "Other", "managedBy": "crd"}',
        {"Content-Type": "application/json"},
        method="PUT",
    )
    urlopen(request, timeout=STUCK_SECONDS).close()
    text = registry.done("get", "crd/default/x.y", "-o", "yaml")
    done = registry.run("apply", "-f", "-", stdin=text.replace('name: "y"', "name: z"))
    assert done.returncode == 1
    assert "is set by its owner, crd" in done.stderr
    gone = registry.run("delete", "crd/default/x.y")
    assert gone.returncode == 1
    assert "this asset is managed by crd" in gone.stderr
    tagged = text.replace("tags: []", "tags: [mine]")
    assert registry.done("apply", "-f", "-", stdin=tagged) == "crd/default/x.y: changed\n"
    assert registry.done("delete", "--as-owner", "crd/default/x.y") == "crd/default/x.y: deleted\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("list", "--url", "ftp://x"), "--url must be http://HOST:PORT"),
        (("list", "--url", "http://u:hunter2@h"), "--url may not have a password"),
        (("list", "--token-file", "/nonexistent"), "token file /nonexistent: No such file"),
        (("list", "--kubeconfig", "x"), "give one or the other"),
        (("list", "--limit", "0"), "is not a whole number above 0"),
        (("apply", "-f", "/nonexistent"), "cannot read /nonexistent"),
        ((), "required: COMMAND"),
    ],
)
def test_wrong_usage_is_one_line_with_exit_code_2(
    tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    done = Registry("http://127.0.0.1:1", tmp_path).run(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "hunter2" not in done.stderr


def test_a_token_is_not_sent_unencrypted(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("hunter2\n")
    done = Registry("http://192.0.2.1:1", tmp_path).run(
        "list", "--token-file", str(tmp_path / "token")
    )
    assert (done.returncode, "not sent unencrypted" in done.stderr) == (2, True)
    assert "hunter2" not in done.stderr


def test_a_registry_that_does_not_answer_is_one_line(tmp_path: Path) -> None:
    done = Registry("http://127.0.0.1:1", tmp_path).run("list")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert done.stderr.startswith("tradingbot: error: http://127.0.0.1:1 does not answer: ")
