"""What holds for every review, drawn at random: the verdict is that of `validate`, and none fails.

Through the application, with the bytes of a real review, from parsing to the answer.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import jsonpatch
import pytest
from hypothesis import HealthCheck, example, given, reject, settings
from hypothesis import strategies as st
from objects import json_objects, json_values, mutations, valid_objects
from tradingbot_cli.verdicts import Checked, check
from tradingbot_webhooks.app import AdmissionApp
from tradingbot_webhooks.http.messages import Answer, Head
from tradingbot_webhooks.metrics import Metrics
from webhook_process import BOT, bot, patch_of, review

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
UID = review(BOT)["request"]["uid"]
DRAWN = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])

Said = tuple[list[str], list[str]]


@pytest.fixture(scope="module")
def app() -> AdmissionApp:
    return AdmissionApp(metrics=Metrics(), clock=lambda: NOW)


def ask(app: AdmissionApp, path: str, body: bytes) -> tuple[int, Any]:
    """One request, as a connection hands it over: the code, and the response in the answer."""
    head = Head(b"POST", path, {b"content-type": b"application/json"})
    assert app.refusal(head) is None
    answer = app.answer(head, body, since=0.0)
    assert isinstance(answer, Answer)
    if answer.code != 200:
        return answer.code, None
    return 200, json.loads(answer.body)["response"]


def encoded(value: Any) -> bytes:
    """As JSON that can be sent; what can't be is not drawn."""
    try:
        return json.dumps(value, allow_nan=False).encode()
    except ValueError:
        reject()


def as_sent(value: Any) -> Any:
    """As kubectl sends it: what is beyond 64 bits is a float64, and a whole one of these is written
    as a whole number, of the digits that tell it from others."""
    if isinstance(value, dict):
        return {key: as_sent(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [as_sent(inner) for inner in value]
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        value = float(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return int(Decimal(repr(value)))
    return value


def webhooks_say(app: AdmissionApp, obj: dict[str, Any], **request: Any) -> Said:
    """Errors and warnings of both webhooks, in the order in which the API server asks them."""
    kind = {"group": "trading.io", "version": "v1", "kind": obj["kind"]}
    code, answer = ask(app, "/mutate", encoded(review(obj, kind=kind, **request)))
    assert code == 200
    if answer["allowed"]:
        if "patch" in answer:
            obj = jsonpatch.apply_patch(obj, patch_of(answer))
        code, answer = ask(app, "/validate", encoded(review(obj, kind=kind, **request)))
        assert code == 200
    status = answer.get("status", {})
    assert status.get("code") in {None, 422}, status
    causes = status.get("details", {}).get("causes", [])
    assert answer["allowed"] == (not causes)
    return [f"{cause['field']}: {cause['message']}" for cause in causes], answer.get("warnings", [])


@DRAWN
@given(obj=mutations() | valid_objects)
@example(obj={**BOT, "metadata": {"name": 2**63}})
@example(obj=bot(riskManagement={"maxOpenPositions": 5.0, "maxPositionSize": 2**63}))
def test_the_webhooks_and_validate_say_the_same(app: AdmissionApp, obj: dict[str, Any]) -> None:
    obj = {**obj, "apiVersion": "trading.io/v1"}

    (found,) = check("drawn.json", encoded(obj), now=NOW)

    assert isinstance(found, Checked)
    assert not found.unreadable
    assert webhooks_say(app, as_sent(obj)) == (
        [f"{finding.field}: {finding.message}" for finding in found.errors],
        [f"{finding.field}: {finding.message}" for finding in found.warnings],
    )


@DRAWN
@given(new=mutations(), old=mutations() | valid_objects)
def test_an_update_of_anything_to_anything_gets_a_verdict(
    app: AdmissionApp, new: dict[str, Any], old: dict[str, Any]
) -> None:
    webhooks_say(app, new, operation="UPDATE", oldObject=old)


@DRAWN
@given(
    path=st.sampled_from(["/mutate", "/validate"]),
    fields=st.dictionaries(
        st.sampled_from(list(review(BOT)["request"])),
        json_values | json_objects,
        min_size=1,
        max_size=3,
    ),
)
def test_a_review_with_anything_in_it_is_answered_or_is_no_review(
    app: AdmissionApp, path: str, fields: dict[str, Any]
) -> None:
    code, answer = ask(app, path, encoded(review(BOT, **fields)))

    assert code in {200, 400}
    assert code == 400 or answer.get("status", {}).get("code") in {None, 422}


@DRAWN
@given(body=st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_answered(app: AdmissionApp, body: bytes) -> None:
    assert ask(app, "/mutate", body)[0] == 400
