"""It goes as it came: in the order of docs/install.md nothing hangs, and nothing is left.

The last file of this folder by its name, since the others need what is removed here.
"""

from installation import Installation, inventory
from person import Person, eventually, sample_bot
from real_bots import BOT, image_of, running_bot


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
    eventually(lambda: admitted(person), seconds=60)
    person.await_phase(BOT, "Running", seconds=90)
    product.uninstall("selfsigned")
    await_as_before(product, untouched, person)


def admitted(person: Person) -> bool:
    """The CA is in the webhook configurations some seconds after the installation."""
    person.kubectl(
        "create",
        "secret",
        "generic",
        "binance-creds",
        "--from-literal=api-key=a",
        "--from-literal=api-secret=b",
    )
    return person.apply(image_of(sample_bot())).returncode == 0


def await_as_before(product: Installation, untouched: frozenset[str], person: Person) -> None:
    """Until all that is there was there before, but for the namespaces of the tests."""

    def left() -> list[str]:
        ours = (f" {person.namespace}/", f"/{person.namespace}")
        now = inventory(product.node) - untouched
        return sorted(one for one in now if not any(part in one for part in ours))

    def nothing_left() -> bool:
        assert left() == []
        return True

    eventually(nothing_left, seconds=60)
