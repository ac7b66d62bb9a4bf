"""A bot is polled at the address of its pod, and other answers do not count."""

import asyncio
from dataclasses import replace

import pytest
from operator_harness import in_fake_time
from poller_harness import DEAD, A, B, PollerHarness, at, clock, fresh, staleness, watching
from risk_bots import report
from tradingbot_api.contract import RiskReport
from tradingbot_api.namespaced_name import NamespacedName
from tradingbot_operator.risk.daily_loss import PollState
from tradingbot_operator.risk.poller import GATHER_SECONDS
from tradingbot_operator.settings import OperatorSettings

TEMPLATE = OperatorSettings().risk_url


def asked(*addresses: str, template: str = TEMPLATE) -> list[str]:
    """Return the URLs at which bots with these addresses are polled."""
    harness = PollerHarness(risk_url=template)
    for number, address in enumerate(addresses):
        harness.poller.subscribe(NamespacedName("desk", f"bot-{number}"), watching(address=address))
    harness.run(4)
    return harness.bots.urls


def test_a_bot_is_asked_at_the_address_of_its_pod() -> None:
    assert asked("10.1.2.3", "fd00::7") == [
        "http://10.1.2.3:8080/risk",
        "http://[fd00::7]:8080/risk",
    ]


@pytest.mark.parametrize(
    "address",
    ["", "evil.example", "10.1.2", "10.1.2.3/x", "10.1.2.3@evil", "fe80::1%eth0", "0x7f1"],
)
def test_one_without_an_address_is_not(address: str) -> None:
    assert asked(address) == []


def test_a_template_without_ip_needs_no_address() -> None:
    template = "http://127.0.0.1:9/{namespace}/{name}/risk"
    assert asked("", "10.1.2.3", template=template) == [
        "http://127.0.0.1:9/desk/bot-0/risk",
        "http://127.0.0.1:9/desk/bot-1/risk",
    ]


def test_names_can_not_change_the_path() -> None:
    harness = PollerHarness()
    harness.poller.subscribe(NamespacedName("..", "a/../x y?#\r\n"), watching())
    harness.run(1)
    assert harness.bots.urls == ["http://127.0.0.1/../a%2F..%2Fx%20y%3F%23%0D%0A"]


class Pods:
    """A harness whose bots answer by address, after a delay."""

    def __init__(self, seconds: float, **says: str) -> None:
        self.harness = PollerHarness(risk_url="http://{ip}/{name}")
        self.seconds = seconds
        self.says = says
        self.harness.bots.report = self.report  # type: ignore[method-assign]
        self.asked: list[tuple[float, str]] = []

    async def report(self, url: str, *, keep: bool) -> RiskReport:
        address = url.split("/")[2]
        self.asked.append((asyncio.get_running_loop().time(), address))
        await asyncio.sleep(self.seconds)
        return report(clock(), dayPnL=self.says[address])

    def move(self, address: str) -> None:
        self.harness.poller.subscribe(A, watching(address=address))

    def pnl(self) -> str:
        found = self.harness.poller.state(A).report
        return "" if found is None else str(found.day_pnl)


def test_at_a_new_address_the_next_poll_goes_there_and_the_old_one_is_not_heard_any_more() -> None:
    pods = Pods(1, **{"10.0.0.1": "-1", "10.0.0.2": "-2"})

    async def main() -> None:
        pods.move("10.0.0.1")
        async with pods.harness.polling():
            await asyncio.sleep(4)
            assert pods.pnl() == "-1"
            await asyncio.sleep(1.5)  # the old pod is being asked
            pods.says["10.0.0.1"] = "1000"
            pods.move("10.0.0.2")
            await asyncio.sleep(0.9)
            assert pods.pnl() == "-1"
            await asyncio.sleep(3)
            assert pods.pnl() == "-2"
            assert pods.harness.bots.open == {"http://10.0.0.2/a"}

    in_fake_time(main())
    assert [address for _, address in pods.asked] == ["10.0.0.1", "10.0.0.1", "10.0.0.2"]


def test_what_the_old_one_has_said_in_the_very_moment_of_the_change_does_not_count() -> None:
    """The answer is between the threads when the address changes."""
    pods = Pods(0, **{"10.0.0.1": "1000", "10.0.0.2": "-2"})
    heard = []

    async def main() -> None:
        pods.move("10.0.0.1")
        async with pods.harness.polling():
            await asyncio.sleep(GATHER_SECONDS / 2)
            assert pods.asked
            assert pods.pnl() == ""
            pods.move("10.0.0.2")
            await asyncio.sleep(GATHER_SECONDS)
            heard.append(pods.pnl())
            await asyncio.sleep(1)

    in_fake_time(main())
    assert "1000" not in heard
    assert pods.pnl() == "-2"


def test_a_bot_that_loses_its_address_is_not_asked_until_it_has_one_and_its_report_grows_old() -> (
    None
):
    harness = PollerHarness({"a": fresh}, risk_url="http://{ip}/{name}")

    async def main() -> None:
        async with harness.polling():
            harness.poller.subscribe(A, watching(staleness, known=False, address="10.0.0.1"))
            await asyncio.sleep(1)
            harness.poller.subscribe(A, watching(staleness, known=False))
            assert harness.poller.counts().bots == 0
            await asyncio.sleep(50)
            assert [name for name, _ in harness.changes] == ["a"]
            assert len(harness.bots.urls) == 1
            harness.poller.subscribe(A, watching(address="10.0.0.1"))
            await asyncio.sleep(1)

    in_fake_time(main())
    assert at(harness.bots.times("a")) == [0, 51]


def test_what_the_old_address_left_unanswered_is_not_held_against_the_new_one() -> None:
    dead = {"10.0.0.1"}
    harness = PollerHarness(risk_url="http://{ip}/{name}")
    harness.bots.answers["a"] = lambda _: DEAD if "10.0.0.1" in harness.bots.urls[-1] else fresh()

    async def main() -> None:
        async with harness.polling():
            harness.poller.subscribe(A, watching(address=dead.pop()))
            await asyncio.sleep(50)
            harness.poller.subscribe(A, watching(address="10.0.0.2"))
            await asyncio.sleep(11)

    in_fake_time(main())
    assert at(harness.bots.times("a")) == [0, 5, 15, 35, 50, 55, 60]


def test_a_distrusted_bot_is_not_asked_and_silent_until_an_answer_that_counts() -> None:
    harness = PollerHarness(risk_url="http://{ip}/{name}")
    trusted = watching(address="10.0.0.1")
    distrusted = replace(trusted, distrust="its gateway does not run")

    async def main() -> None:
        async with harness.polling():
            harness.poller.subscribe(A, trusted)
            await asyncio.sleep(1)
            asked = len(harness.bots.urls)
            harness.poller.subscribe(A, distrusted)
            begun = clock()
            await asyncio.sleep(20)
            assert len(harness.bots.urls) == asked
            found = harness.poller.state(A)
            assert (found.problem, found.silent_since) == (distrusted.distrust, begun)
            assert found.report is not None  # from before: it counts for its 30 s
            # A restart that ends before an answer does not begin another silence.
            harness.bots.answers["a"] = lambda _: DEAD
            harness.poller.subscribe(A, trusted)
            await asyncio.sleep(6)
            harness.poller.subscribe(A, distrusted)
            assert harness.poller.state(A).silent_since == begun
            del harness.bots.answers["a"]
            harness.poller.subscribe(A, trusted)
            await asyncio.sleep(6)
            assert harness.poller.state(A).silent_since is None
            harness.poller.subscribe(A, distrusted)
            harness.poller.subscribe(A, watching(address="10.0.0.2"))
            assert harness.poller.state(A).silent_since is None  # another pod

    in_fake_time(main())


def test_two_bots_at_one_address_share_no_connection() -> None:
    """The address of a deleted pod may belong to another bot by now."""
    harness = PollerHarness(risk_url="http://{ip}/risk")
    peers = []
    make = harness.bots.peer
    for key in (A, B):
        harness.poller.subscribe(key, watching(address="10.0.0.1"))
    harness.poller._pace = type(harness.poller._pace)(
        interval=5, clock=clock, peer=lambda url: peers.append(make(url)) or peers[-1]
    )
    harness.run(11)
    assert len(peers) == 2
    assert harness.poller.state(A) != PollState()
