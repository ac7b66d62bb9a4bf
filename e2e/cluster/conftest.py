"""The product in pods, on a real node with cert-manager. Root and Linux: `make e2e-cluster`."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from zlib import crc32

import pytest
from installation import Installation, inventory
from namespaces import restricted_namespace
from person import Person
from real_bots import BOT_IMAGE
from shared_node import locked, made_once, shared_node
from tradingbot_node.cluster import Node
from tradingbot_node.images.build import build_image
from tradingbot_node.images.own import product_image, strategies_image
from unpacked_image import Unpacked, unpacked_archive

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Unpacked:
    """Both images of the project, each unpacked when the first test needs it."""
    builds = {"tradingbot-operator": product_image, "tradingbot-strategies": strategies_image}
    return cache(lambda name: unpacked_archive(builds[name](), tmp_path_factory.mktemp(name)))


@pytest.fixture(scope="session")
def bot_image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive of an image of the example bot, which loses when told to, and the hostile one."""
    context = tmp_path_factory.mktemp("bot-image")
    ours = (HERE / "losing_bot.py", HERE / "Dockerfile", *HERE.glob("hostile_*.py"))
    for source in (EXAMPLES / "bot.py", *ours):
        (context / source.name).write_bytes(source.read_bytes())
    return build_image(BOT_IMAGE, context=context)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """A directory that all workers of this run have in common."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if hasattr(request.config, "workerinput") else own


@pytest.fixture(scope="module", autouse=True)
def turn(
    shared: Path, disturbing_node_files: frozenset[str], request: pytest.FixtureRequest
) -> Iterator[None]:
    """Run a file that disturbs the others alone."""
    alone = request.node.nodeid in disturbing_node_files
    with locked(shared / "turn", alone=alone):
        yield


@pytest.fixture(scope="session")
def node(bot_image: Path, shared: Path) -> Iterator[Node]:
    """A real node with DNS, volumes and cert-manager, and with all images; no product yet.

    Another worker builds the product's image while the node starts, which mostly waits.
    """

    def prepare(node: Node) -> None:
        for archive in (bot_image, product_image(), strategies_image()):
            node.containerd.import_image(archive)

    with shared_node(shared, prepare) as running:
        yield running


@pytest.fixture(scope="session")
def untouched(node: Node, shared: Path) -> frozenset[str]:
    """The names of all objects of the cluster before anything was installed."""
    return frozenset(
        json.loads(made_once(shared, "inventory", lambda: json.dumps(sorted(inventory(node)))))
    )


@pytest.fixture(scope="session")
def product(
    node: Node, untouched: frozenset[str], shared: Path, tmp_path_factory: pytest.TempPathFactory
) -> Installation:
    """The product as a user installs it: `kubectl apply -k config/default`."""
    installation = Installation(node, tmp_path_factory.mktemp("overlays"))

    def install() -> str:
        installation.install("default")
        return "default"

    made_once(shared, "installation", install)
    return installation


@pytest.fixture
def person(product: Installation, request: pytest.FixtureRequest) -> Iterator[Person]:
    """Somebody with a namespace of their own, restricted as strictly as can be."""
    name = f"t{crc32(request.node.nodeid.encode())}"
    with restricted_namespace(product.node, name) as someone:
        yield someone
