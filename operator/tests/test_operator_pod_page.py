"""docs/pod.md is true: its example is admitted, its names and its table are those of the code."""

import re
from pathlib import Path

import yaml
from operator_harness import NOW, bot, bot_body, merged
from tradingbot_api.admission.review import defaulted, review
from tradingbot_api.pod_parts import CA_DIRECTORY, CA_ENV, DEFAULT_STORAGE_PATH
from tradingbot_operator.bots.children.network_policy import DNS_PORT, HTTPS_PORT
from tradingbot_operator.bots.children.pod_options import CA_FILE, exchange_variables
from tradingbot_operator.bots.children.surroundings import DEFAULT
from tradingbot_operator.cluster.reading.trimming import child_name

PAGE = (Path(__file__).parents[2] / "docs" / "pod.md").read_text(encoding="utf-8")
EXAMPLES = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]


def test_its_examples_are_admitted_without_a_warning() -> None:
    whole, token = EXAMPLES

    for spec in (whole["spec"], {"pod": token}):
        body = defaulted("TradingBot", bot_body(merged(bot_body()["spec"], spec)))
        verdict = review("TradingBot", body, now=NOW)
        assert (verdict.errors, verdict.warnings) == ((), ())


def test_its_names_are_those_of_the_code() -> None:
    assert f"`{child_name('PersistentVolumeClaim', 'NAME')}`" in PAGE
    assert f"`{DEFAULT_STORAGE_PATH}` by default" in PAGE
    assert f"`{CA_DIRECTORY}/{CA_FILE}`" in PAGE
    assert f"DNS (port {DNS_PORT}, UDP and TCP)" in PAGE
    assert f"({HTTPS_PORT}, or that of `baseURL`)" in PAGE


def test_every_variable_that_a_bot_gets_is_named() -> None:
    exchange = {
        "baseURL": "http://exchange.example",
        "proxyURL": "http://proxy.example",
        "caBundle": {"name": "ca"},
    }
    subject = bot({"exchange": exchange})
    assert subject.spec is not None

    found = exchange_variables(subject.spec.exchange, DEFAULT)

    assert set(CA_ENV) <= set(found)
    assert not [name for name in found if f"`{name}`" not in PAGE]
