"""Settings that would make the operator useless, or unsafe, are refused when it starts."""

import pytest
from pydantic import ValidationError
from tradingbot_operator.settings import OperatorSettings


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("http://127.0.0.1/risk", "name"),
        ("http://127.0.0.1/{namespace}/risk", "name"),
        ("http://{ip}/{nam}/", "braces"),
        ("http://{ip}/{name", "braces"),
        ("http://{ip!r}/", "braces"),
        ("{name}", "literal address"),
        ("", "literal address"),
        ("http://bots/{name}/risk", "literal address"),
        ("http://{name}.{namespace}.svc:8080/risk", "literal address"),
        ("http://{name}/risk", "literal address"),
        ("http://{ip}.evil/risk", "literal address"),
        ("http://[{ip}]/risk", "literal address"),
        ("http://127.0.0.1.:80/{name}", "literal address"),
        ("http://2130706433/{name}", "literal address"),
        ("http://{ip}:port/risk", "port"),
        ("http://{ip}:99999/risk", "port"),
        ("http://{ip}:0/risk", "http URL"),
        ("https://{ip}/risk", "http URL"),
        ("http://me:secret@{ip}/risk", "http URL"),
        ("http://127.0.0.1/{name}/{ip}", "outside of its host"),
        ("http://{ip}/risk?x=1", "path"),
    ],
)
def test_a_risk_url_that_can_not_be_safe_or_tell_bots_apart_is_refused(
    template: str, why: str
) -> None:
    with pytest.raises(ValidationError, match=why):
        OperatorSettings(risk_url=template)


@pytest.mark.parametrize(
    "template",
    [
        "http://{ip}:8080/risk",
        "http://{ip}/{namespace}/{name}/risk",
        "http://127.0.0.1:80/{name}",
        "http://[::1]:80/{namespace}/{name}/risk",
    ],
)
def test_one_with_the_address_of_the_pod_or_a_literal_one_is_taken(template: str) -> None:
    assert OperatorSettings(risk_url=template).risk_url == template
