"""The list of calls: what is on it, and what can't be."""

from __future__ import annotations

import pytest
from tradingbot_exchange.binance.calls import CALLS, NOT_SUPPORTED, Security
from tradingbot_gateway.binance.calls import ALLOWED, BY_PATH, BY_WEBSOCKET, Treatment

WRITES = {"POST", "PUT", "DELETE", "PATCH"}
JUDGED = {Treatment.ORDER, Treatment.ORDER_LIST, Treatment.CANCEL_REPLACE}
CANCELS = {Treatment.CANCEL, Treatment.CANCEL_ALL}


def test_every_call_of_the_simulated_exchange_is_on_the_list_once() -> None:
    assert {(each.method, each.path) for each in CALLS} <= set(BY_PATH)
    names = [each.name for each in ALLOWED]
    assert len(set(names)) == len(names)


def test_a_call_that_changes_something_is_judged_or_is_a_cancel() -> None:
    for (method, _), call in BY_PATH.items():
        if method in WRITES and call.name != "testOrder":
            assert call.treatment in JUDGED | CANCELS, call.name


def test_what_is_judged_is_read_by_a_schema_that_refuses_unknown_parameters() -> None:
    for call in ALLOWED:
        assert (call.schema is not None) == (call.treatment in JUDGED), call.name


def test_what_is_passed_without_a_signature_needs_none() -> None:
    for call in ALLOWED:
        if call.treatment is Treatment.MARKET:
            assert call.security is Security.NONE
        elif call.treatment is not Treatment.SESSION:
            assert call.security is not Security.NONE, call.name


@pytest.mark.parametrize(
    "path",
    [
        *("/sapi/v1/capital/withdraw/apply", "/sapi/v1/asset/transfer", "/sapi/v1/margin/loan"),
        *("/sapi/v1/account/apiRestrictions/ipRestriction", "/api/v3/orderList/oto"),
        *("/api/v3/userDataStream", "/api/v3/sor/order", "/wapi/v3/withdraw.html"),
    ],
)
def test_dangerous_calls_are_not_on_the_list(path: str) -> None:
    assert [method for method, allowed in BY_PATH if allowed == path and method in WRITES] == []


def test_ways_to_enter_that_are_not_judged_are_on_neither_list() -> None:
    entering = {each for each in NOT_SUPPORTED if each[0] in WRITES}
    assert not entering & set(BY_PATH)
    assert not {"orderList.place.otoco", "sor.order.place", "order.amend.keepPriority"} & set(
        BY_WEBSOCKET
    )
