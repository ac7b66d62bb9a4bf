"""An upgrade with bots running: what runs the bots is replaced, and no bot is restarted.

Nothing was released before this version. In the place of its predecessor stands the same image
under a lower tag: what the manifests and the replacing of pods do to bots is shown, and what an
older program wrote is not.
"""

from importlib.metadata import version

from installation import Installation, restarts
from person import Person
from real_bots import BOT, await_condition, running_bot
from tradingbot_dev.control_plane.plane import SYSTEM_NAMESPACE

VERSION = version("tradingbot-operator")
PREVIOUS = "0.0.9"
NAME = "docker.io/library/tradingbot-operator"


def running_images(product: Installation) -> set[str]:
    components = ("operator", "webhooks", "registry")
    pods = [pod for component in components for pod in product.pods(component)]
    return {pod["spec"]["containers"][0]["image"] for pod in pods}


def test_an_upgrade_restarts_no_bot(product: Installation, person: Person) -> None:
    product.node.ctr("images", "tag", "--force", f"{NAME}:{VERSION}", f"{NAME}:{PREVIOUS}")
    product.install("default", tag=PREVIOUS)
    assert running_images(product) == {f"tradingbot-operator:{PREVIOUS}"}
    running_bot(person)
    pods = restarts(person.items("pod", bot=BOT))
    assert len(pods) == 1
    (deployment,) = person.items("deployment", bot=BOT)

    product.install("default")
    assert running_images(product) == {f"tradingbot-operator:{VERSION}"}
    claim = product.object("pvc", "tradingbot-registry-data", "-n", SYSTEM_NAMESPACE)
    assert claim["status"]["phase"] == "Bound"
    # The new operator has reconciled the bot without changing its children.
    await_condition(person, "RiskReported", "True")
    (after,) = person.items("deployment", bot=BOT)
    assert after["metadata"]["generation"] == deployment["metadata"]["generation"]
    assert restarts(person.items("pod", bot=BOT)) == pods
