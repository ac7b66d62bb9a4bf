"""It goes as it came: in the order of docs/install.md nothing hangs, and nothing is left.

The last file of this directory by its name, since the others need what is removed here.
"""

from itertools import count

from installation import Installation, inventory
from person import Person, eventually, sample_bot
from real_bots import BOT, image_of, running_bot

SECRET = "binance-creds"


def test_uninstalling_leaves_nothing_behind(
    product: Installation, person: Person, untouched: frozenset[str]
) -> None:
    running_bot(person)
    product.uninstall("default")
    assert person.items("pod", bot=BOT) == []
    await_as_before(product, untouched, person)


def test_without_cert_manager_it_comes_and_goes_as_well(
    product: Installation, person: Person, untouched: frozenset[str]
) -> None:
    product.install("selfsigned")
    person.applied(image_of(sample_bot()))
    person.await_phase(BOT, "AwaitingCredentials")
    keys = ("--from-literal=api-key=a", "--from-literal=api-secret=b")
    person.kubectl("create", "secret", "generic", SECRET, *keys)
    person.await_phase(BOT, "Running")
    stopped_while_the_webhooks_are_down(product, person)
    product.uninstall("selfsigned")
    await_as_before(product, untouched, person)


def stopped_while_the_webhooks_are_down(product: Installation, person: Person) -> None:
    """A bot can be stopped, and not started: the API server asks nobody about a stop.

    Only here: the cert-manager of these tests is older than `matchConditions`, and takes them out.
    """
    product.scale_webhooks(0)
    patch = ("patch", "tradingbot", BOT, "--type=merge", "-p")
    limits = count(100)

    def refused() -> bool:
        # Another limit each time: pods on their way out still answer, and what changes nothing
        # is not asked about.
        limit = f'{{"spec":{{"riskManagement":{{"dailyLossLimit":"{next(limits)}"}}}}}}'
        return "failed calling webhook" in person.kubectl(*patch, limit).stderr

    eventually(refused)
    done = person.kubectl(*patch, '{"spec":{"paused":true}}')
    assert done.returncode == 0, done.stderr
    person.await_phase(BOT, "Paused")
    done = person.kubectl(*patch, '{"spec":{"paused":false}}')
    assert "failed calling webhook" in done.stderr


def await_as_before(product: Installation, untouched: frozenset[str], person: Person) -> None:
    """Until all that is there was there before, but for the namespaces of the tests."""

    def left() -> list[str]:
        ours = (f" {person.namespace}/", f"/{person.namespace}")
        now = inventory(product.node) - untouched
        return sorted(one for one in now if not any(part in one for part in ours))

    def nothing_left() -> bool:
        assert left() == []
        return True

    eventually(nothing_left)
