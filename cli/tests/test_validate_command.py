"""`tradingbot validate` as people and pipelines use it."""

from __future__ import annotations

import io
import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from tradingbot_api.admission.review import KINDS, defaulted, review
from tradingbot_cli.main import main
from tradingbot_cli.verdicts import Checked, check

GOOD = """\
apiVersion: trading.io/v1
kind: TradingBot
metadata:
  name: arb
  namespace: live
spec:
  strategy:
    type: Arbitrage
    image: registry.example/arb:1.4
  exchange:
    name: Binance
    apiKeySecret: binance-keys
  riskManagement:
    maxPositionSize: 1000
    dailyLossLimit: "50"
    stopLossPercentage: 2.5
"""
BAD = GOOD.replace("stopLossPercentage: 2.5", 'stopLossPercentage: "150"')
RISKY = GOOD.replace('dailyLossLimit: "50"', "dailyLossLimit: 5000")
OTHER = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def validate(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = main(["validate", *arguments])
    return code, capsys.readouterr().out


def entries(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    return json.loads(validate(capsys, "-o", "json", *arguments)[1])


def test_a_good_bot_is_one_line(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "arb.yaml").write_text(GOOD)
    assert validate(capsys, "-f", "arb.yaml") == (0, "1 object checked, 1 admitted\n")


def test_a_mistake_is_shown_where_it_stands(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "bots").mkdir()
    (here / "bots" / "arb.yaml").write_text(BAD)
    code, out = validate(capsys, "-f", "bots/arb.yaml")
    assert code == 1
    assert out == (
        "bots/arb.yaml: TradingBot live/arb is invalid:\n"
        "bots/arb.yaml:16:25: error: spec.riskManagement.stopLossPercentage:"
        ' Invalid value: "150": must be greater than 0 and less than 100\n'
        '   16 |     stopLossPercentage: "150"\n'
        "      |                         ^^^^^\n"
        "\n"
        "1 object checked, 0 admitted, 1 denied with 1 error\n"
    )


def test_warnings_are_shown_and_do_not_deny(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "arb.yaml").write_text(RISKY)
    code, out = validate(capsys, "-f", "arb.yaml")
    assert code == 0
    assert "arb.yaml:15:21: warning: spec.riskManagement.dailyLossLimit: " in out
    assert out.endswith("1 object checked, 1 admitted, 1 warning\n")


def test_a_missing_field_is_shown_at_what_it_should_stand_in(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "arb.yaml").write_text(GOOD.replace("    apiKeySecret: binance-keys\n", ""))
    assert (
        "arb.yaml:10:3: error: spec.exchange.apiKeySecret: Required value"
        in validate(capsys, "arb.yaml")[1]
    )


def test_an_unknown_field_is_an_error(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "arb.yaml").write_text(GOOD.replace("image:", "imagge:"))
    _, out = validate(capsys, "arb.yaml")
    assert 'spec.strategy.imagge: Forbidden: unknown field; did you mean "image"?' in out


@pytest.mark.parametrize("output", ["text", "json", "sarif"])
@pytest.mark.parametrize(
    "parameters",
    ["    parameters: {apiKey: sk-secret, b: x}", '    parameters:\n      apiKey: "sk-secret"'],
)
def test_no_credential_reaches_the_output(
    here: Path, capsys: pytest.CaptureFixture[str], output: str, parameters: str
) -> None:
    (here / "a.yaml").write_text(GOOD.replace("  exchange:", f"{parameters}\n  exchange:"))
    code, out = validate(capsys, "-o", output, "a.yaml")
    assert code == 1
    assert "spec.strategy.parameters[apiKey]" in out
    assert "sk-secret" not in out


RANDOM = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"


@pytest.mark.parametrize("output", ["text", "json", "sarif"])
@pytest.mark.parametrize(
    ("parameter", "value", "code"),
    [
        ("note: Bearer hunter2", "hunter2", 1),
        ("dsn: postgres://app:hunter2@db/orders", "hunter2", 1),
        ("odbc: Server=db;Password=hunter2", "hunter2", 1),
        ("cert: |\n        -----BEGIN PRIVATE KEY-----\n        aHVudGVyMg==", "aHVudGVyMg", 1),
        (f"channel: {RANDOM}", RANDOM, 0),
    ],
)
def test_no_value_that_may_be_a_credential_reaches_the_output(
    here: Path,
    capsys: pytest.CaptureFixture[str],
    *,
    output: str,
    parameter: str,
    value: str,
    code: int,
) -> None:
    parameters = f"    parameters:\n      {parameter}\n  exchange:"
    (here / "a.yaml").write_text(GOOD.replace("  exchange:", parameters))
    done, out = validate(capsys, "-o", output, "a.yaml")
    assert done == code
    assert f"spec.strategy.parameters[{parameter.partition(':')[0]}]" in out
    assert value not in out


def test_json_is_a_list_in_the_order_of_the_input(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "b.yaml").write_text(f"{GOOD}---\n{OTHER}---\n{BAD}")
    (here / "a.yaml").write_text(RISKY)
    found = entries(capsys, "-f", "b.yaml", "-f", "a.yaml")
    assert all(
        list(entry)
        == "file line document kind namespace name allowed errors warnings effective".split()  # noqa: SIM905
        for entry in found
    )
    keys = ("file", "line", "document", "kind", "namespace", "name", "allowed")
    assert [tuple(entry[key] for key in keys) for entry in found] == [
        ("b.yaml", 1, 1, "TradingBot", "live", "arb", True),
        ("b.yaml", 22, 3, "TradingBot", "live", "arb", False),
        ("a.yaml", 1, 1, "TradingBot", "live", "arb", True),
    ]
    assert found[1]["errors"] == [
        {
            "field": "spec.riskManagement.stopLossPercentage",
            "reason": "FieldValueInvalid",
            "message": 'Invalid value: "150": must be greater than 0 and less than 100',
        }
    ]
    assert found[2]["warnings"][0]["field"] == "spec.riskManagement.dailyLossLimit"
    assert list(found[2]["warnings"][0]) == ["field", "message"]


def test_json_shows_the_effective_values_of_an_admitted_bot(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = GOOD.replace("spec:\n", "spec:\n  resources: {limits: {cpu: 50m, memory: 64Mi}}\n", 1)
    (here / "a.yaml").write_text(f"{small}---\n{OTHER}---\n{BAD}")

    found = entries(capsys, "-f", "a.yaml")

    bot = yaml.safe_load(GOOD)
    stop = bot["spec"]["riskManagement"].get("stopLossPercentage", "2")
    assert [entry["effective"] for entry in found] == [
        {
            "riskManagement": {
                "takeProfitPercentage": f"{2 * float(stop):g}",
                "enforcement": "Gateway",
            },
            "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}},
            "exchange": {
                "dialect": "Binance",
                "quoteCurrency": "USDT",
                "paperBalance": [{"asset": "USDT", "amount": "10000"}],
            },
        },
        *[None] * (len(found) - 1),
    ]


def test_a_folder_is_searched_at_any_depth_in_order(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("b.yaml", "a/x.yml", "a/deep/er/y.json", ".git/z.yaml", "a/.hidden.yaml", "n.txt"):
        path = here / "bots" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(yaml.safe_load(GOOD)) if name.endswith("json") else GOOD)
    (here / "bots" / "loop").symlink_to(here / "bots")
    assert [entry["file"] for entry in entries(capsys, "bots")] == [
        "bots/a/deep/er/y.json",
        "bots/a/x.yml",
        "bots/b.yaml",
    ]


def test_stdin_is_read(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(BAD.encode())))
    code, out = validate(capsys, "-f", "-")
    assert code == 1
    assert "<stdin>:16:25: error: " in out


def test_the_items_of_a_list_are_checked_with_their_own_lines(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    items = "".join("- " + "\n  ".join(text.splitlines()) + "\n" for text in (GOOD, OTHER, BAD))
    (here / "a.yaml").write_text(f"apiVersion: v1\nkind: List\nitems:\n{items}")
    code, out = validate(capsys, "a.yaml")
    assert code == 1
    assert "a.yaml:38:27: error: spec.riskManagement.stopLossPercentage: " in out
    assert "1 of other kinds skipped" in out


def test_other_kinds_alone_are_fine(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "a.yaml").write_text(f"{OTHER}---\njust text\n---\n- a list\n---\nresources: [a]\n")
    assert validate(capsys, "a.yaml") == (0, "0 objects checked, 4 of other kinds skipped\n")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("trading.io/v1", "trading.io/v2", 'apiVersion: Unsupported value: "trading.io/v2"'),
        ("trading.io/v1", "v1", 'apiVersion: Unsupported value: "v1"'),
        ("apiVersion: trading.io/v1\n", "", "apiVersion: Required value"),
        ("TradingBot", "TradingBott", 'kind: Unsupported value: "TradingBott"'),
    ],
)
def test_a_slip_in_version_or_kind_is_not_passed_over(
    here: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, message: str
) -> None:
    (here / "a.yaml").write_text(GOOD.replace(old, new))
    code, out = validate(capsys, "a.yaml")
    assert code == 1
    assert message in out


def test_the_verdict_is_the_webhooks(here: Path) -> None:
    from datetime import UTC, datetime

    now = datetime(2026, 11, 24, tzinfo=UTC)
    (found,) = check("a", BAD.encode(), now=now)
    assert isinstance(found, Checked)
    obj = yaml.safe_load(BAD)
    verdict = review("TradingBot", defaulted("TradingBot", obj), now=now)
    assert [(e.field, e.reason, e.message) for e in found.errors] == [
        (e.field, e.reason, e.message) for e in verdict.errors
    ]
    assert set(KINDS) >= {"TradingBot", "AssetRegistry"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: [\n", "a.yaml:2:1: error: malformed YAML: "),
        ("a: 1\na: 2\n", 'a.yaml:2:1: error: the key "a" is duplicated, first on line 1'),
        (b"a: \xff", "a.yaml:1:4: error: not UTF-8 text"),
    ],
)
def test_an_unreadable_file_is_code_2_with_line_and_column(
    here: Path, capsys: pytest.CaptureFixture[str], content: Any, message: str
) -> None:
    (here / "a.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    (here / "b.yaml").write_text(BAD)
    code, out = validate(capsys, "-f", "a.yaml", "-f", "b.yaml")
    assert code == 2
    assert message in out
    assert "b.yaml:16:25" in out, "the other files are still checked"
    assert "1 input unreadable" in out


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere.yaml", "nowhere.yaml: error: no such file or directory"),
        ("empty", "empty: error: no *.yaml, *.yml or *.json in this directory"),
    ],
)
def test_what_does_not_exist_is_code_2(
    here: Path, capsys: pytest.CaptureFixture[str], name: str, message: str
) -> None:
    (here / "empty").mkdir()
    code, out = validate(capsys, name)
    assert code == 2
    assert message in out
    (entry,) = entries(capsys, name)
    assert (entry["kind"], entry["allowed"], entry["errors"][0]["reason"]) == (
        "",
        False,
        "Unreadable",
    )


def test_no_file_at_all_is_a_mistake_of_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate"]) == 2
    assert "no files: give -f FILE" in capsys.readouterr().err


def test_color_is_for_terminals(here: Path) -> None:
    import os
    import pty

    (here / "a.yaml").write_text(BAD)
    command = [sys.executable, "-m", "tradingbot_cli", "validate", "a.yaml"]
    leader, follower = pty.openpty()
    plain = {**os.environ, "TERM": "xterm"}
    plain.pop("NO_COLOR", None)
    subprocess.run(command, stdout=follower, env=plain, check=False)
    assert b"\x1b[" in os.read(leader, 65536)
    subprocess.run(command, stdout=follower, env={**plain, "NO_COLOR": "1"}, check=False)
    assert b"\x1b[" not in os.read(leader, 65536)
    piped = subprocess.run(command, capture_output=True, env=plain, check=False)
    assert b"\x1b[" not in piped.stdout


def test_a_thousand_manifests_take_less_than_two_seconds(here: Path) -> None:
    for number in range(1000):
        (here / f"{number}.yaml").write_text(GOOD.replace("name: arb", f"name: arb-{number}"))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "tradingbot_cli", "validate", "-f", "."],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "1000 objects checked, 1000 admitted\n"
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # CPU time: elapsed time depends on what else the machine does.
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert used < 4, "2 s on an idle machine"
