"""Hooks for schemathesis: what the registry refuses although JSON Schema can't say so.

Each refusal is documented, in docs/registry.md or in the OpenAPI document itself. A request that is
valid by the document may be refused with 422 if each of its errors is one of these.
"""

import itertools
import json
import re
from dataclasses import dataclass
from typing import Any

import schemathesis
from schemathesis.core.failures import Failure
from schemathesis.openapi.checks import RejectedPositiveData


@dataclass(frozen=True)
class Rule:
    """Errors that are intended: a place, which is a JSON pointer or a parameter, and a text."""

    place: str
    detail: str


INTENDED = (
    # A page has a number or a cursor.
    Rule("page", "Leave it out if there is a cursor"),
    # A cursor is a text of the registry, and belongs to one query.
    Rule("cursor", "Not a cursor of this registry|Belongs to another query"),
    # The feed: a number that was not given out yet comes from another database.
    Rule("since", "Is beyond the last change"),
    Rule("depth|direction", "Needs a root"),
    Rule("sort", "Names a key twice"),
    # An id must be that of an asset; a reference may be of one to come.
    Rule(r"(/items/\d+/(asset|patch))?/dependsOn/\d+", "no asset has this id"),
    # Names: Unicode categories are not in a pattern.
    Rule(r"(/items/\d+/(asset|patch))?/name", "May not begin or end with white space or contain"),
    # Types need keys; what looks like a credential is refused at any depth; a size in bytes.
    Rule(
        r"(/items/\d+/(asset|patch))?/config.*",
        "Required value|looks like a credential|NUL|bytes|nested",
    ),
    # References within a batch.
    Rule(r"/items/\d+/(ref|id)", "Given twice|Each asset at most once"),
    Rule(r"/items/\d+/(asset|patch)/dependsOn/\d+", "No item has this ref"),
    Rule("/items", "Items depend on one another in a cycle"),
)


def intended(error: dict[str, Any]) -> bool:
    """Whether an item of `errors` is documented as intended."""
    place = str(error.get("pointer", error.get("parameter", "")))
    return any(
        re.fullmatch(rule.place, place) and re.search(rule.detail, error["detail"])
        for rule in INTENDED
    )


numbers = itertools.count()


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Leave out or replace headers for whose sake nearly every request would be refused.

    A made-up entity tag matches no asset, and the example of Idempotency-Key is the key of one
    request. All are optional, and such a refusal would hide what is wrong with the rest. Of the
    headers with entity tags, schemathesis also takes `0` for a value that has their pattern.
    """
    for name in ("If-Match", "If-None-Match"):
        value = case.headers.get(name, "*")
        if value.startswith('"') or (case.meta.generation.mode.is_positive and value != "*"):
            del case.headers[name]
    if re.fullmatch("[12]?[0-9]|30", str(case.query.get("wait"))):
        case.query["wait"] = 0  # Nothing changes meanwhile.
    if "Idempotency-Key" in case.headers:
        examples = case.operation.definition.raw["parameters"]
        if case.headers["Idempotency-Key"] in [found.get("example") for found in examples]:
            case.headers["Idempotency-Key"] = f"request-{next(numbers)}"


@schemathesis.hook
def filter_failure(context: Any, failure: Failure, case: Any, response: Any) -> bool:
    """Drop the failures that are intended refusals."""
    if not isinstance(failure, RejectedPositiveData) or response.status_code != 422:
        return True
    problem = json.loads(response.content)
    if problem["type"] == "urn:tradingbot:problem:idempotency-key-reused":
        return False
    return not all(intended(error) for error in problem["errors"])
