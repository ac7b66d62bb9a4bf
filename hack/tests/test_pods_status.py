"""Back-off and status of local pods are the kubelet's."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tradingbot_dev.pods.backoff import FIRST, FORGOTTEN_AFTER, LONGEST, Backoff
from tradingbot_dev.pods.kubelet_api import LogRequest, read_log, tail_offset
from tradingbot_dev.pods.plan import PodDirectory
from tradingbot_dev.pods.records import Attempt, Record, read_ending, recorded
from tradingbot_dev.pods.status import (
    ContainerState,
    Running,
    State,
    Terminated,
    Waiting,
    differs,
    pod_status,
)
from tradingbot_dev.pods.volumes import write

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
ENDED = Terminated(1, NOW - 5 * SECOND, NOW - SECOND, "Error")
POD: dict[str, Any] = {"metadata": {}, "status": {}}


def waits(lives: list[timedelta]) -> list[float]:
    """Return how long a container waits before each restart, if it lives that long each time."""
    backoff, now, found = Backoff(), NOW, []
    for life in lives:
        finished = now + life
        now = backoff.until(finished)
        found.append((now - finished).total_seconds())
        backoff = backoff.after_restart(finished=finished, now=now)
    return found


def test_a_crash_loop_waits_longer_each_time_up_to_five_minutes() -> None:
    assert waits([SECOND] * 9) == [0, 10, 20, 40, 80, 160, 300, 300, 300]


def test_after_ten_minutes_a_container_starts_from_scratch() -> None:
    quick, long = [SECOND] * 4, [FORGOTTEN_AFTER + SECOND]
    assert waits(quick + long + quick) == [0, 10, 20, 40, 0, 10, 20, 40, 80]
    assert waits([*quick, FORGOTTEN_AFTER])[-1] == 80


@given(st.lists(st.integers(0, 2000).map(lambda seconds: seconds * SECOND), max_size=12))
def test_every_wait_is_none_or_within_the_bounds(lives: list[timedelta]) -> None:
    found = waits(lives)
    assert all(wait == 0 or FIRST.total_seconds() <= wait for wait in found)
    assert all(wait <= LONGEST.total_seconds() for wait in found)
    assert all(after in (0, min(2 * before, 300)) for before, after in pairwise(found) if before)


def state(state: State, **fields: Any) -> ContainerState:
    return ContainerState("bot", "image", state, **fields)


def status_of(*containers: ContainerState, pod: dict[str, Any] = POD) -> dict[str, Any]:
    return pod_status(pod, containers, address="127.64.0.1", now=NOW)


def ready(status: dict[str, Any]) -> str:
    (found,) = [one["status"] for one in status["conditions"] if one["type"] == "Ready"]
    return str(found)


@pytest.mark.parametrize(
    ("containers", "phase", "is_ready"),
    [
        ([state(Waiting())], "Pending", "False"),
        ([state(Waiting("CreateContainerConfigError", "x"))], "Pending", "False"),
        ([state(Running(NOW))], "Running", "True"),
        ([state(Running(NOW)), state(Waiting())], "Pending", "False"),
        ([state(Waiting("CrashLoopBackOff"), last=ENDED)], "Running", "False"),
        ([state(ENDED)], "Running", "False"),
    ],
)
def test_phase_and_readiness_follow_from_the_containers(
    containers: list[ContainerState], phase: str, is_ready: str
) -> None:
    status = status_of(*containers)
    assert (status["phase"], ready(status)) == (phase, is_ready)


@pytest.mark.parametrize(("code", "phase"), [(0, "Succeeded"), (137, "Failed")])
def test_a_deleted_pod_whose_processes_have_ended_is_finished(code: int, phase: str) -> None:
    going = {"metadata": {"deletionTimestamp": "2026-11-30T12:00:00Z"}}
    ended = Terminated(code, NOW, NOW, "x")
    assert status_of(state(ended), pod=going)["phase"] == phase
    assert status_of(state(Running(NOW)), pod=going)["phase"] == "Running"


def test_the_state_of_a_container_has_what_kubectl_shows() -> None:
    (found,) = status_of(state(Waiting("CrashLoopBackOff", "m"), restarts=3, last=ENDED))[
        "containerStatuses"
    ]
    assert found["restartCount"] == 3
    assert found["state"] == {"waiting": {"reason": "CrashLoopBackOff", "message": "m"}}
    assert found["lastState"]["terminated"] == {
        "exitCode": 1,
        "startedAt": "2026-11-30T11:59:55Z",
        "finishedAt": "2026-11-30T11:59:59Z",
        "reason": "Error",
    }


def test_a_condition_keeps_its_time_while_its_status_stays() -> None:
    old = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    pod = {"metadata": {}, "status": {"conditions": [old]}}
    for container, time in (
        (Running(NOW), "2026-01-01T00:00:00Z"),
        (ENDED, "2026-11-30T12:00:00Z"),
    ):
        conditions = status_of(state(container), pod=pod)["conditions"]
        (found,) = [one for one in conditions if one["type"] == "Ready"]
        assert found["lastTransitionTime"] == time


def test_a_status_that_is_written_differs_no_more() -> None:
    status = status_of(state(Running(NOW)))
    stored = {
        **status,
        "qosClass": "Burstable",
        "conditions": [
            {"type": "PodScheduled", "status": "True"},
            *({k: v for k, v in one.items() if v} for one in status["conditions"]),
        ],
    }
    assert differs(status, {})
    assert not differs(status, stored)
    assert differs(status_of(state(ENDED)), stored)


def test_a_record_survives_the_agent_and_a_damaged_one_is_removed(tmp_path: Path) -> None:
    record = Record("desk", "bot-1", "u1", {"bot": Attempt(2, NOW, ENDED), "b": Attempt(0, NOW)})
    record.write(PodDirectory(tmp_path / "u1"))
    (tmp_path / "u2").mkdir()
    (tmp_path / "u2" / "pod.json").write_text('{"namespace": ')
    assert list(recorded(tmp_path)) == [record]
    assert not (tmp_path / "u2").exists()


def test_an_end_that_nobody_saw_is_137_and_keeps_its_time(tmp_path: Path) -> None:
    file = tmp_path / "bot" / "0.exit"
    first = read_ending(file, started=NOW, now=NOW + SECOND)
    assert (first.exit_code, first.reason) == (137, "ContainerStatusUnknown")
    assert read_ending(file, started=NOW, now=NOW + 9 * SECOND) == first


def seen(volume: Path) -> dict[str, bytes]:
    """Return what a container sees: every path, through the links."""
    found = {}
    for name in volume.iterdir():
        if not name.name.startswith(".."):
            inner = [name] if name.is_file() else list(name.rglob("*"))
            found |= {str(path.relative_to(volume)): path.read_bytes() for path in inner}
    return found


def test_a_volume_is_swapped_as_a_whole_and_only_if_it_changed(tmp_path: Path) -> None:
    volume = tmp_path / "config"
    old, new = {"bot.json": b"1", "a/b": b"2"}, {"bot.json": b"3"}
    assert write(volume, old, now=NOW)
    assert seen(volume) == old
    before = (volume / "..data").readlink()
    assert not write(volume, old, now=NOW + SECOND)
    assert (volume / "..data").readlink() == before
    with (volume / "bot.json").open("rb") as opened:
        assert write(volume, new, now=NOW + 2 * SECOND)
        assert opened.read() == b"1", "a reader of the old files sees these to the end"
    assert seen(volume) == new
    assert len(list(volume.glob("..[0-9]*"))) == 1, "old versions are removed"
    assert (volume / "bot.json").readlink() == Path("..data/bot.json")


def test_files_of_a_volume_are_private(tmp_path: Path) -> None:
    write(tmp_path / "v", {"a/key": b"s3cret"}, now=NOW)
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "v").rglob("*") if path.is_file()}
    assert modes == {0o600}


@given(st.lists(st.sampled_from([b"", b"a", b"bc"]), max_size=5), st.booleans(), st.integers(0, 7))
def test_the_tail_of_a_log_is_its_last_lines(lines: list[bytes], ends: bool, tail: int) -> None:
    content = b"\n".join(lines) + (b"\n" if ends and lines else b"")
    expected = b"".join(content.splitlines(keepends=True)[-tail:] if tail else [])
    assert content[tail_offset(content, tail) :] == expected


async def _collected(request: LogRequest, grows: list[bool]) -> bytes:
    answers = iter(grows)
    return b"".join([chunk async for chunk in read_log(request, may_grow=lambda: next(answers))])


def test_a_followed_log_ends_when_its_process_has_ended(tmp_path: Path) -> None:
    import asyncio

    log = tmp_path / "0.log"
    log.write_bytes(b"one\ntwo\n")
    follow = LogRequest(log, tail=1, limit=None, follow=True)
    assert asyncio.run(_collected(follow, [True, True, False])) == b"two\n"
    limited = LogRequest(log, tail=None, limit=5, follow=False)
    assert asyncio.run(_collected(limited, [])) == b"one\nt"
