"""The examples of docs/gateway.md are refused by the control that they are an example of."""

from pathlib import Path

import pytest
from codegen.gateway_controls import EXAMPLES, FIELDS, refusal, with_controls
from tradingbot_gateway.risk.controls import CHECKS

PAGE = Path(__file__).parents[2] / "docs" / "gateway.md"


def test_each_control_has_an_example_and_a_field() -> None:
    assert list(EXAMPLES) == list(FIELDS) == list(CHECKS)


@pytest.mark.parametrize("name", CHECKS)
def test_an_example_is_refused_by_its_control(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = refusal(name)
    for other in set(CHECKS) - {name}:
        monkeypatch.setitem(CHECKS, other, lambda _: None)
    assert refusal(name) == answer


def test_the_page_has_the_marks_of_the_generated_part() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert with_controls(page) == page
    with pytest.raises(ValueError, match="lacks a mark"):
        with_controls("")
