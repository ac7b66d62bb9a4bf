"""The result of a poll: a report, or the reason why there is none."""

from typing import Literal

from pydantic import ValidationError
from tradingbot_api.contract import RiskReport

Result = Literal["ok", "unreachable", "timeout", "http_error", "invalid", "excessive"]

MAX_COMMAS = 1000
"""In a report: a field that is repeated thousands of times is validated each time."""


class NoReportError(Exception):
    """A poll brought no report. The message says why, in stable words, and quotes no answer.

    `silent` if the bot has not answered at all, `excessive` if its answer exceeded a limit.
    """

    def __init__(self, result: Result, problem: str, *, silent: bool = False) -> None:
        super().__init__(problem)
        self.result = result
        self.silent = silent

    @property
    def excessive(self) -> bool:
        """Whether the bot exceeded a limit, which no slow or broken bot does."""
        return self.result == "excessive"


def parsed(body: bytes) -> RiskReport:
    """Parse a report. Raises NoReportError with the first field that is wrong.

    The parser limits depth and the length of numbers and skips unknown fields, so 64 KiB of
    anything take about a millisecond at most.
    """
    if body.count(b",") > MAX_COMMAS:
        raise NoReportError("excessive", f"its report has more than {MAX_COMMAS} fields or items")
    try:
        return RiskReport.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    if not first["loc"]:
        what = "JSON" if first["type"] == "json_invalid" else "a JSON object"
        raise NoReportError("invalid", f"its report is not {what}")
    field = first["loc"][0]
    how = "missing" if first["type"] == "missing" else "not of the form that the contract asks for"
    raise NoReportError("invalid", f"{field} of its report is {how}")
