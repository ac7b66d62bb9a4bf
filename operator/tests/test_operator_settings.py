"""Settings that would make the operator useless are refused when it starts."""

import pytest
from pydantic import ValidationError
from tradingbot_operator.settings import OperatorSettings


@pytest.mark.parametrize(
    "template",
    ["", "http://bots/risk", "http://{namespace}/risk", "http://{nam}/", "http://{name", "{name}"],
)
def test_a_risk_url_that_can_not_tell_bots_apart_is_refused(template: str) -> None:
    with pytest.raises(ValidationError, match="name"):
        OperatorSettings(risk_url=template)


def test_a_risk_url_may_leave_the_namespace_out() -> None:
    assert OperatorSettings(risk_url="https://{name}.bots/risk").risk_url
