"""Readiness and liveness of the watches."""

from tradingbot_operator.cluster.watching.health import BROKEN_SECONDS, STUCK_SECONDS, WatchHealth


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Session:
    alive = True
    silent_seconds = 0.0


def test_watches_that_stay_broken_are_told_and_those_that_begin_again_soon_are_not() -> None:
    clock = Clock()
    health = WatchHealth(clock)
    for _ in range(2):
        health.broken()
        clock.now += BROKEN_SECONDS - 1
        assert health.unready() == ""
        health.whole()
    health.broken()
    clock.now += 30
    health.broken()
    clock.now += BROKEN_SECONDS - 20
    assert "broken for 70 s" in health.unready()
    health.whole()
    assert health.unready() == ""


def test_a_kind_that_the_api_server_does_not_let_be_watched_is_told() -> None:
    clock = Clock()
    health = WatchHealth(clock)
    health.answered("pods", "HTTP 403")
    clock.now += BROKEN_SECONDS
    health.answered("services", "HTTP 500")
    health.answered("pods", "HTTP 403")
    clock.now += 1
    assert health.unready() == "pods can't be watched for 61 s: HTTP 403"
    health.answered("pods", "")
    assert health.unready() == ""


def test_a_restart_is_asked_for_only_while_a_thread_stands_still() -> None:
    health = WatchHealth()
    old, new = Session(), Session()
    health.begins(old)  # type: ignore[arg-type]
    health.begins(new)  # type: ignore[arg-type]
    assert health.stuck() == ""
    old.silent_seconds = STUCK_SECONDS + 1
    assert "stands still for 91 s" in health.stuck()
    old.alive = False
    assert health.stuck() == ""
