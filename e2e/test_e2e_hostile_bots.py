"""A tenant whose images attack the operator when it asks them for their risk harms nobody else."""

import re
from collections.abc import Iterator

import pytest
from person import Object, Person, condition, eventually, sample, sample_bot
from reads import create_namespace, delete_all
from simulated_bots import SimulatedBots
from tradingbot_dev.product.system import System

EVIL = "evil-tenant"
NAMES = [f"evil-{number}" for number in range(12)]
HALTED_WITHIN = 15.0
"""Seconds between a loss and its halt, whatever others do."""

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
FLOODS = (
    (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
    (OK, b"x: y\r\n" * 1000),
    (OK + b"x: ", b"y" * 10_000),
    (CHUNKED + b"1;", b"x" * 10_000),
    (CHUNKED, b"1\r\n \r\n" * 1000),
)
BOT = "arb-bot-binance"


@pytest.fixture(scope="module")
def running_tenant(system: System) -> Iterator[Person]:
    """The other tenant, with a dozen bots that run."""
    tenant = Person(system, EVIL)
    create_namespace(system.plane, EVIL)
    many = []
    for name in NAMES:
        many.append(sample_bot())
        many[-1]["metadata"] = {"name": name}
    tenant.applied(sample("secret.yaml"), *many)
    for name in NAMES:
        tenant.await_phase(name, "Running")
    yield tenant
    delete_all(system.plane, EVIL, "tradingbot")


@pytest.fixture
def tenant(running_tenant: Person, bots: SimulatedBots) -> Iterator[Person]:
    """The other tenant; what its bots answer is up to the test."""
    yield running_tenant
    for name in NAMES:
        bots.silence(EVIL, name)


def reported(person: Person) -> Object | None:
    found = person.get("tbot", BOT) or {}
    return found if condition(found, "RiskReported")["status"] == "True" else None


def test_a_loss_halts_a_bot_while_a_dozen_bots_of_another_tenant_flood_the_operator(
    person: Person, tenant: Person, bots: SimulatedBots
) -> None:
    person.running_bot()
    bots.set(person.namespace, BOT, open_positions=1)
    eventually(lambda: reported(person))
    for number, name in enumerate(NAMES):
        after, piece = FLOODS[number % len(FLOODS)]
        bots.flood(EVIL, name, piece, after=after)
    eventually(lambda: all(bots.polls(EVIL, name) for name in NAMES))
    before = bots.polls(person.namespace, BOT)
    # One each 0.5 s; fewer on a busy machine.
    eventually(lambda: bots.polls(person.namespace, BOT) >= before + 5, seconds=HALTED_WITHIN)
    bots.set(person.namespace, BOT, day_pnl="-9999", open_positions=1)
    person.await_phase(BOT, "Halted", seconds=HALTED_WITHIN)


def test_a_bot_that_floods_is_said_to_and_is_heard_once_it_behaves(
    tenant: Person, bots: SimulatedBots
) -> None:
    name = NAMES[0]
    bots.flood(EVIL, name, b"HTTP/1.1 100 Continue\r\n\r\n")

    def said() -> bool:
        found = condition(tenant.get("tbot", name) or {}, "RiskReported")
        # What comes in one piece may be too long before its answers are counted.
        why = re.search("interim answers|longer than", found["message"])
        return found["status"] != "True" and why is not None

    eventually(said)
    bots.set(EVIL, name, day_pnl="-9999")
    tenant.await_phase(name, "Halted")
