"""A bot's pod, really running: what it is given, what is asked of it, what a loss does to it."""

import json
from datetime import UTC, datetime
from decimal import Decimal

from person import Object, Person, eventually, sample, sample_bot
from real_bots import (
    BOT,
    a_day_that_ends_soon,
    await_condition,
    image_of,
    running_bot,
    take_up_a_lower_limit,
)

IN_THE_POD = """
import json, os, pathlib
def refused(path):
    try:
        pathlib.Path(path).write_text("x")
    except OSError as error:
        return type(error).__name__
print(json.dumps({
    "key": os.environ["EXCHANGE_API_KEY"],
    "secret": os.environ["EXCHANGE_API_SECRET"],
    "config": json.loads(pathlib.Path(os.environ["TRADINGBOT_CONFIG"]).read_text()),
    "user": [os.getuid(), os.getgid()],
    "outside /tmp": refused("/written"),
    "inside /tmp": refused("/tmp/written"),
    "token": os.path.exists("/var/run/secrets/kubernetes.io"),
    "privileges": pathlib.Path("/proc/self/status").read_text(),
}))
"""


def test_a_bot_runs_restricted_and_reads_its_credentials_and_its_limits(person: Person) -> None:
    stored = running_bot(person)
    (pod,) = person.items("pod", bot=BOT)
    assert pod["status"]["phase"] == "Running"
    seen = inside(person, pod)
    credentials = sample("secret.yaml")["stringData"]
    assert seen["key"] == credentials["api-key"]
    assert seen["secret"] == credentials["api-secret"]
    assert seen["config"]["name"] == BOT
    assert seen["config"]["risk"]["dailyLossLimit"] == "200"
    assert seen["user"] == [65532, 65532]
    assert seen["outside /tmp"] == "OSError"
    assert seen["inside /tmp"] is None
    assert seen["token"] is False
    for line in ("CapEff:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"):
        assert line in seen["privileges"]
    risk = stored["status"]["risk"]
    assert (Decimal(risk["dayPnL"]), risk["openPositions"]) == (0, 0)


def inside(person: Person, pod: Object) -> Object:
    """What a program in the bot's container sees."""
    name = pod["metadata"]["name"]
    done = person.kubectl("exec", name, "--", "python3", "-c", IN_THE_POD)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_a_lower_limit_reaches_the_running_bot_without_a_restart(person: Person) -> None:
    running_bot(person)
    (before,) = person.items("pod", bot=BOT)
    take_up_a_lower_limit(person)
    (after,) = person.items("pod", bot=BOT)
    assert inside(person, after)["config"]["risk"]["dailyLossLimit"] == "150"
    assert after["metadata"]["uid"] == before["metadata"]["uid"]


def test_a_loss_halts_the_bot_until_its_trading_day_ends(person: Person) -> None:
    # The boundary lies just ahead of now, so no clock has to be turned.
    schedule, ends = a_day_that_ends_soon(seconds=50)
    losing = {"loss": "250", "until": ends.isoformat()}
    person.applied(sample("secret.yaml"), image_of(sample_bot(schedule=schedule), **losing))
    left = (ends - datetime.now(UTC)).total_seconds()
    halted = person.await_phase(BOT, "Halted", seconds=left)
    risk = halted["status"]["risk"]
    assert Decimal(risk["dayPnL"]) == -250
    assert "DailyLossLimit" in risk["haltReason"]
    assert datetime.fromisoformat(risk["resumesAt"]) == ends
    eventually(lambda: not person.items("pod", bot=BOT))

    person.await_phase(BOT, "Running")
    assert datetime.now(UTC) >= ends
    resumed = await_condition(person, "RiskReported", "True")
    assert Decimal(resumed["status"]["risk"]["dayPnL"]) == 0
    person.await_events(BOT, "Halted")
