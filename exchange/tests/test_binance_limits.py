"""Request weights, bans and order counts, by a clock of their own."""

import pytest
from tradingbot_exchange.binance.errors import ApiError
from tradingbot_exchange.binance.limits import OrderCounts, RateLimits, RequestWeights

MINUTE = 60_000
NOW = 1_800_000_000_000
"""The first moment of a minute."""

LIMITS = RateLimits(weight=100, patience=3, orders_10s=5, orders_day=8)


def refused(weights: RequestWeights, now: int) -> ApiError:
    with pytest.raises(ApiError) as raised:
        weights.admit("1.2.3.4", now=now)
    return raised.value


def test_a_request_over_the_limit_waits_for_the_next_minute() -> None:
    weights = RequestWeights(LIMITS)
    weights.charge("1.2.3.4", 100, now=NOW + 1000)
    error = refused(weights, NOW + 1000)
    assert (error.status, error.code, error.retry_after) == (429, -1003, 59)
    weights.admit("1.2.3.4", now=NOW + MINUTE)


def test_a_request_that_weighs_more_than_is_left_is_refused() -> None:
    weights = RequestWeights(LIMITS)
    weights.charge("1.2.3.4", 90, now=NOW)
    with pytest.raises(ApiError) as raised:
        weights.charge("1.2.3.4", 20, now=NOW)
    assert raised.value.status == 429


def test_addresses_are_counted_apart() -> None:
    weights = RequestWeights(LIMITS)
    weights.charge("1.2.3.4", 100, now=NOW)
    weights.admit("4.3.2.1", now=NOW)
    assert weights.used("4.3.2.1", now=NOW) == 0


def test_a_client_that_goes_on_is_banned_and_each_ban_is_longer() -> None:
    weights = RequestWeights(LIMITS)
    lengths = []
    now = NOW
    for _ in range(3):
        weights.add("1.2.3.4", 100, now=now)
        statuses = [refused(weights, now).status for _ in range(4)]
        assert statuses == [429, 429, 429, 418]
        error = refused(weights, now)
        assert error.status == 418
        assert error.retry_after is not None
        lengths.append(error.retry_after)
        now = (now // MINUTE + 1) * MINUTE + error.retry_after * 1000
        weights.admit("1.2.3.4", now=now)
    assert lengths == [120, 240, 480]


def test_raw_requests_are_counted_over_five_minutes() -> None:
    weights = RequestWeights(RateLimits(raw_requests=2))
    weights.admit("1.2.3.4", now=NOW)
    weights.admit("1.2.3.4", now=NOW + MINUTE)
    error = refused(weights, NOW + 2 * MINUTE)
    assert (error.status, error.retry_after) == (429, 180)
    weights.admit("1.2.3.4", now=NOW + 5 * MINUTE)


def test_too_many_unfilled_orders_wait_for_the_next_interval() -> None:
    counts = OrderCounts(LIMITS)
    counts.add("alice", 5, now=NOW)
    with pytest.raises(ApiError) as raised:
        counts.add("alice", 1, now=NOW + 4000)
    assert (raised.value.status, raised.value.code, raised.value.retry_after) == (429, -1015, 6)
    assert "current limit is 5 orders per 10 SECOND" in raised.value.message
    counts.add("bob", 1, now=NOW)
    counts.add("alice", 3, now=NOW + 10_000)
    with pytest.raises(ApiError, match="8 orders per 1 DAY"):
        counts.add("alice", 1, now=NOW + 20_000)


def test_orders_that_are_given_back_can_be_placed_again() -> None:
    counts = OrderCounts(LIMITS)
    counts.add("alice", 5, now=NOW)
    counts.give_back("alice", 2, now=NOW)
    counts.add("alice", 2, now=NOW)
    counts.give_back("alice", 100, now=NOW)
    assert [count for _, _, count in counts.counts("alice", now=NOW)] == [0, 0]


def test_a_refused_batch_counts_nothing() -> None:
    counts = OrderCounts(LIMITS)
    counts.add("alice", 4, now=NOW)
    with pytest.raises(ApiError):
        counts.add("alice", 2, now=NOW)
    assert [count for _, _, count in counts.counts("alice", now=NOW)] == [4, 4]
