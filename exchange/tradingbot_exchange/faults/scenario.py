"""A scenario: faults at given times, from a YAML file.

```yaml
steps:
  - {at: 30s, type: crash, percent: 20, over: 10s}
  - {at: 2m, type: calm}
```

`at` counts from the start of the exchange, in its own time. `calm` ends all faults.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tradingbot_exchange.documents import listed, printable
from tradingbot_exchange.errors import ScenarioError
from tradingbot_exchange.faults.model import (
    FAULT_TYPES,
    Duration,
    MarketFault,
    RequestFault,
    StreamFault,
)
from tradingbot_exchange.yaml_documents import YamlError, load

_MAX_BYTES = 1 << 20
_MAX_STEPS = 10_000


class Calm(BaseModel):
    """The end of all faults."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    type: Literal["calm"]


class ScenarioStep(BaseModel):
    """A fault, and when it begins, in milliseconds after the start."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    at: Duration
    fault: Annotated[MarketFault | RequestFault | StreamFault | Calm, Field(discriminator="type")]

    @model_validator(mode="before")
    @classmethod
    def _flat(cls, value: Any) -> Any:
        if not isinstance(value, dict) or "at" not in value:
            return value
        return {"at": value["at"], "fault": {k: v for k, v in value.items() if k != "at"}}


class Scenario(BaseModel):
    """The content of a file."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    steps: tuple[ScenarioStep, ...] = Field(min_length=1, max_length=_MAX_STEPS)


def read_scenario(path: Path, *, symbols: tuple[str, ...]) -> tuple[ScenarioStep, ...]:
    """Read a file. Raises ScenarioError, which names every mistake."""
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise ScenarioError(f"cannot read {path}: {error.strerror}") from error
    if len(content) > _MAX_BYTES:
        raise ScenarioError(f"{path}: is larger than 1 MiB")
    try:
        document = load(content)
    except YamlError as error:
        place = "" if error.line is None else f":{error.line}"
        raise ScenarioError(f"{path}{place}: {error}") from error
    try:
        steps = Scenario.model_validate(document).steps
    except ValidationError as error:
        raise ScenarioError(f"{path}: {listed(problems(error))}") from error
    for number, step in enumerate(steps, start=1):
        symbol = getattr(step.fault, "symbol", None)
        if symbol is not None and symbol not in symbols:
            raise ScenarioError(
                f"{path}: step {number}: no symbol '{printable(symbol)}'; supported:"
                f" {', '.join(symbols)}"
            )
    return steps


def problems(error: ValidationError) -> list[str]:
    """Return each error of a fault's fields, with its place."""
    found = []
    for detail in error.errors(include_url=False, include_input=False):
        parts = [printable(part) for part in detail["loc"]]
        place = ".".join(part for part in parts if part != "fault")
        message = detail["msg"].removeprefix("Value error, ")
        if detail["type"] == "union_tag_invalid":
            place = f"{place}.type".removeprefix(".")
            tag = printable(detail["ctx"]["tag"])
            message = f"'{tag}' is not a fault; supported: {', '.join(FAULT_TYPES)}"
        elif detail["type"] == "union_tag_not_found":
            place = f"{place}.type".removeprefix(".")
            message = f"required; supported: {', '.join(FAULT_TYPES)}"
        found.append(f"{place}: {message}" if place else message)
    return found
