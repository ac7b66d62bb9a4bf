"""docs/bot-contract.md is true: its examples follow the contract, its numbers are in force."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from operator_harness import NOW
from tradingbot_api.contract import MAX_REPORT_BYTES, BotConfig, RiskReport
from tradingbot_api.pod import DEFAULT_GRACE_SECONDS
from tradingbot_api.pod_parts import CONFIG_DIRECTORY
from tradingbot_operator import CONFIG_KEY
from tradingbot_operator.bots.bot import Bot
from tradingbot_operator.bots.children.manifests import (
    PORT,
    USER_ID,
    Config,
    pod_template,
)
from tradingbot_operator.risk.answer import MAX_COMMAS
from tradingbot_operator.risk.connection import (
    MAX_EXCHANGE_BYTES,
    MAX_INTERIM,
    MAX_PIECES,
    MAX_READS,
)
from tradingbot_operator.risk.daily_loss import FRESH
from tradingbot_operator.risk.limits import FORGIVE_SECONDS, MOST_STRIKES
from tradingbot_operator.risk.polling import LONGEST_PAUSE, PENALTY_PAUSE
from tradingbot_operator.settings import OperatorSettings

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "bot-contract.md").read_text(encoding="utf-8")
BOT_JSON, REPORT = re.findall(r"^```json\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def sample() -> Bot:
    body = yaml.safe_load((ROOT / "config/samples/tradingbot.yaml").read_text(encoding="utf-8"))
    body["metadata"]["namespace"] = "trading"
    body["spec"]["riskManagement"]["enforcement"] = "Bot"
    return Bot.read(body, now=NOW)


def test_its_bot_json_is_what_the_operator_makes_of_the_sample() -> None:
    bot = sample()
    assert bot.spec is not None
    assert Config.declared(bot, bot.spec).text() == BOT_JSON


def test_its_report_is_one_of_a_bot_with_its_bot_json() -> None:
    report = RiskReport.model_validate_json(REPORT)

    assert report.config_hash == BotConfig.model_validate_json(BOT_JSON).config_hash
    assert set(RiskReport.model_json_schema()["properties"]) == set(
        re.findall(r"^\| `(\w+)` \| [^|]+ \| [^|]+ \|$", PAGE, re.MULTILINE)
    )


def test_every_limit_in_bot_json_has_its_row() -> None:
    for limit in BotConfig.model_json_schema()["$defs"]["BotRisk"]["properties"]:
        assert f"\n| `{limit}` | " in PAGE


def test_its_numbers_are_those_in_force() -> None:
    settings = OperatorSettings()

    assert (settings.risk_interval, settings.risk_timeout) == (5, 2)
    assert "Every 5 seconds, with a time-out of 2 seconds" in PAGE
    assert timedelta(seconds=30) == FRESH
    assert "A report counts for 30 seconds" in PAGE
    assert LONGEST_PAUSE == 60
    assert "down to once a minute" in PAGE
    assert f"| {MAX_REPORT_BYTES // 1024} KiB, not compressed, with {MAX_COMMAS} commas |" in PAGE
    assert f"trailers | {MAX_EXCHANGE_BYTES // 1024} KiB |" in PAGE
    assert f"| {MAX_READS}: send it in one piece" in PAGE
    assert f"| header lines and chunks | {MAX_PIECES} |" in PAGE
    assert f"| interim answers (status 1xx) | {MAX_INTERIM} |" in PAGE
    assert PENALTY_PAUSE == 20
    assert "to once in 20 seconds while it answers well" in PAGE
    assert (FORGIVE_SECONDS, FORGIVE_SECONDS * MOST_STRIKES) == (300, 1800)
    assert "in 5 minutes for each time, up to half an hour" in PAGE
    assert f"SIGKILL {DEFAULT_GRACE_SECONDS} seconds later" in PAGE
    assert f"| user, group | {USER_ID}," in PAGE
    assert f"| port | {PORT}," in PAGE
    assert f"| `TRADINGBOT_CONFIG` | `{CONFIG_DIRECTORY}/{CONFIG_KEY}` |" in PAGE


def test_the_container_is_as_it_says() -> None:
    bot = sample()
    assert bot.spec is not None
    template, _ = pod_template(bot, bot.spec, "1")
    (container,) = template["spec"]["containers"]

    names = [variable["name"] for variable in container["env"]]
    assert names == ["EXCHANGE_API_KEY", "EXCHANGE_API_SECRET", "TRADINGBOT_CONFIG"]
    assert all(f"`{name}`" in PAGE for name in names)
    assert not [key for key in container if key.endswith("Probe")]
    assert not {"command", "args"} & set(container)
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert template["spec"]["volumes"][1]["emptyDir"] == {"sizeLimit": "64Mi"}
    assert template["spec"]["automountServiceAccountToken"] is False


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)]+)\)", PAGE))))
def test_every_link_leads_somewhere(link: str) -> None:
    path, _, anchor = link.partition("#")
    target = ROOT / "docs" / (path or "bot-contract.md")
    assert target.exists()
    if anchor:
        headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
        assert anchor in {re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings}
