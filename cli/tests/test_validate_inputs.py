"""What people, pipelines and accidents give `tradingbot validate` to read."""

from __future__ import annotations

import codecs
import io
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import yaml
from tradingbot_cli.main import main
from tradingbot_dev.processes.waiting import STUCK_SECONDS

ROOT = Path(__file__).parents[2]
GOOD = (ROOT / "config" / "samples" / "tradingbot.yaml").read_text(encoding="utf-8")
BAD = GOOD.replace("Arbitrage", "Arb")
KUBECTL = Path(sys.executable).with_name("kubectl")
codecs.lookup("utf-8-sig")  # Python loads it when it is used, and `nobody` may not be able to


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = main(["validate", *arguments])
    return code, capsys.readouterr().out


def typed(text: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))


# ---- stdin


@pytest.mark.parametrize("text", [b"", b" \n"])
def test_nothing_on_stdin_is_no_success(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, text: bytes
) -> None:
    typed(text, monkeypatch)
    code, out = told(capsys, "-f", "-")
    assert code == 2
    assert out.startswith("<stdin>: error: empty; did the command that writes to it fail?\n")


def test_a_stdin_that_is_closed_is_no_success(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert told(capsys, "-f", "-")[0] == 2


def test_what_kustomize_builds_is_read(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder, code, summary in (
        ("samples", 0, "3 objects checked, 3 admitted"),
        ("selfsigned", 0, "0 objects checked, "),
    ):
        built = subprocess.run(
            [KUBECTL, "kustomize", ROOT / "config" / folder], capture_output=True, check=True
        )
        typed(built.stdout, monkeypatch)
        done = told(capsys, "-f", "-")
        assert done[0] == code, done[1]
        assert summary in done[1]


# ---- files


@pytest.mark.parametrize("content", ["", "# nothing\n", "---\n---\n"])
def test_a_file_without_an_object_is_in_order(
    here: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    (here / "a.yaml").write_text(content)
    assert told(capsys, "-f", "a.yaml") == (0, "0 objects checked\n")


def test_files_folders_and_stdin_are_read_in_the_order_given(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "bots").mkdir()
    for name in ("z.yaml", "bots/b.yaml", "bots/a.json", "a.txt"):
        text = json.dumps(yaml.safe_load(GOOD)) if name.endswith("json") else GOOD
        (here / name).write_text(text)
    typed(GOOD.encode(), monkeypatch)
    _, out = told(capsys, "-o", "json", "-f", "z.yaml", "-f", "-", "-f", "bots", "-f", "a.txt")
    assert [entry["file"] for entry in json.loads(out)] == [
        *("z.yaml", "<stdin>", "bots/a.json", "bots/b.yaml", "a.txt")
    ]


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_places_are_right_whatever_ends_a_line_and_begins_the_file(
    here: Path, capsys: pytest.CaptureFixture[str], ending: str, mark: str
) -> None:
    (here / "a.yaml").write_bytes((mark + BAD.replace("\n", ending)).encode())
    _, out = told(capsys, "a.yaml")
    assert "a.yaml:7:11: error: spec.strategy.type: " in out
    assert "\n    7 |     type: Arb\n      |           ^^^\n" in out


def test_a_pipe_that_is_named_is_read_and_one_in_a_folder_is_passed_over(here: Path) -> None:
    (here / "bots").mkdir()
    (here / "bots" / "a.yaml").write_text(GOOD)
    pipe = here / "bots" / "pipe.yaml"
    os.mkfifo(pipe)

    def printed(name: str) -> str:
        command = [sys.executable, "-m", "tradingbot_cli", "validate", name]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=STUCK_SECONDS, check=False
        ).stdout

    assert printed("bots") == "1 object checked, 1 admitted\n"
    threading.Thread(target=pipe.write_text, args=(BAD,), daemon=True).start()
    assert "bots/pipe.yaml:7:11: error: spec.strategy.type: " in printed("bots/pipe.yaml")


def test_a_link_to_nowhere_is_said_also_in_a_folder(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "bots").mkdir()
    (here / "bots" / "a.yaml").write_text(GOOD)
    (here / "bots" / "b.yaml").symlink_to("nowhere")
    (here / "bots" / "b.txt").symlink_to("nowhere")
    for name in ("bots", "bots/b.yaml"):
        code, out = told(capsys, name)
        assert code == 2
        assert out.count("error: ") == 1
        assert "bots/b.yaml: error: no such file or directory\n" in out


def test_what_may_not_be_read_is_said_and_the_rest_is_checked(
    unprivileged_directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    locked = unprivileged_directory / "locked"
    locked.mkdir()
    for name in ("a.yaml", "b.yaml", "locked/c.yaml"):
        (unprivileged_directory / name).write_text(GOOD)
    (unprivileged_directory / "a.yaml").chmod(0)
    locked.chmod(0)
    try:
        code, out = told(capsys, str(unprivileged_directory))
        assert code == 2
        assert f"{locked}: error: permission denied\n" in out
        assert f"{unprivileged_directory}/a.yaml: error: permission denied\n" in out
        assert "1 object checked, 1 admitted, 2 inputs unreadable" in out
        for name in (locked, locked / "c.yaml"):
            code, out = told(capsys, str(name))
            assert (code, out.splitlines()[0]) == (2, f"{name}: error: permission denied")
    finally:
        locked.chmod(0o700)


# ---- lists


def test_items_without_a_kind_are_of_the_kind_of_their_list_as_for_kubectl(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bot = yaml.safe_load(BAD)
    del bot["kind"], bot["apiVersion"]
    listed = {"apiVersion": "trading.io/v1", "kind": "TradingBotList", "items": [bot]}
    (here / "a.yaml").write_text(yaml.safe_dump(listed))
    code, out = told(capsys, "a.yaml")
    assert code == 1
    assert "TradingBot arb-bot-binance is invalid" in out
    kubectl = subprocess.run(
        [KUBECTL, "label", "--local", "-f", "a.yaml", "a=b", "-o", "name"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert kubectl.stdout == "tradingbot.trading.io/arb-bot-binance\n"


@pytest.mark.parametrize("items", ["", "items:\n", "items: []\n", "items: [5, a]\n", "items: 5\n"])
def test_a_list_of_nothing_of_ours_is_in_order(
    here: Path, capsys: pytest.CaptureFixture[str], items: str
) -> None:
    (here / "a.yaml").write_text(f"apiVersion: v1\nkind: List\n{items}")
    assert told(capsys, "a.yaml")[0] == 0


# ---- what is printed


@pytest.mark.parametrize("output", ["text", "json", "sarif"])
@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_every_name_and_value_can_be_printed(here: Path, output: str, encoding: str) -> None:
    (here / "bad\udcff.yaml").write_text(BAD.replace("Arb\n", '"\u00dcn\u00efcode"\n'))
    (here / "surrogate.json").write_text(
        json.dumps({**yaml.safe_load(GOOD), "metadata": {"name": "\ud800"}})
    )
    done = subprocess.run(
        [sys.executable, "-m", "tradingbot_cli", "validate", ".", "-o", output],
        env={**os.environ, "PYTHONIOENCODING": f"{encoding}:strict"},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, b"")
    printed = done.stdout.decode(encoding)
    if output != "text":
        json.loads(printed)


def test_a_name_can_not_forge_a_line(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bot = yaml.safe_load(GOOD)
    bot["metadata"] = {"name": "a\n::error::x\x1b[31m", "namespace": "b\n::error::y"}
    bot["spec"]["a\n::error::z"] = 1
    (here / "c\n::error::w.yaml").write_text(yaml.safe_dump(bot))
    code, out = told(capsys, ".")
    assert code == 1
    assert not [line for line in out.splitlines() if line.startswith("::error::")]
    assert "\x1b" not in out
    assert out.startswith("c\\n::error::w.yaml: TradingBot b\\n::error::y/a\\n::error::x\\x1b[31m ")
