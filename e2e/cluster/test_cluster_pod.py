"""What a real cluster asks of a bot: a private registry, a way out, a volume, a network policy.

One bot goes through all of it, from an image that the node may not pull to a bot that is created
again. The tests build on each other.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4
from zlib import crc32

import pytest
from installation import Installation
from namespaces import restricted_namespace
from outside import (
    EXCHANGE_HOST,
    EXCHANGE_URL,
    PASSWORD,
    PROXY,
    PROXY_URL,
    REGISTRY_NAME,
    USER,
    Outside,
    outside,
)
from person import Object, Person, assert_is_false, eventually, sample, sample_bot
from policy_rules import enforced
from real_bots import BOT, BOT_IMAGE, await_condition
from tradingbot_dev.control_plane.plane import SYSTEM_NAMESPACE
from tradingbot_node.host.places import NODE_IP, NODE_NAME

# A node that is kept for the next run has the image of this one.
IMAGE = f"{REGISTRY_NAME}/desk/remote-bot:{uuid4().hex}"
PULL_SECRET, AUTHORITY, STRATEGY, VOLUME = "registry-login", "company-ca", "strategy", "by-hand"
CLAIM = f"{BOT}-data"
PROBER = "prober"
POD: Object = {
    # What the bot is comes in a ConfigMap: its image is the example bot's.
    "files": [{"mountPath": "/strategy", "configMap": {"name": STRATEGY}}],
    "command": ["python3", "/strategy/remote_bot.py"],
    "env": [{"name": "PYTHONPATH", "value": "/bot"}],
    "storage": {"size": "100Mi", "storageClassName": VOLUME, "retain": True},
    "networkPolicy": "Restricted",
    "terminationGracePeriodSeconds": 5,
}
PULLING: Object = {"imagePullSecrets": [{"name": PULL_SECRET}]}
CONNECT = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=3).close()
except OSError as error:
    print(type(error).__name__)
"""
ASK = """
import sys, urllib.request
try:
    urllib.request.urlopen(sys.argv[1], timeout=5).read()
except OSError as error:
    print(error)
"""
# The certificates of a directory are read when one is needed.
TRUSTED = "import os, ssl; print(len(os.listdir(ssl.get_default_verify_paths().capath)))"


@pytest.fixture(scope="module")
def world(bot_image: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    with outside(tmp_path_factory.mktemp("outside"), image=bot_image) as running:
        yield running


@pytest.fixture(scope="module")
def desk(product: Installation, world: Outside) -> Iterator[Person]:
    """A namespace with all that the bot needs but itself, and a pod in another namespace."""
    with restricted_namespace(product.node, f"t{crc32(b'desk')}") as desk:
        equip(product, world, desk)
        yield desk
        product.node.kubectl("delete", "pod", PROBER, "--namespace=default", "--now")
        desk.kubectl("delete", "tradingbots", "--all", "--timeout=120s")
        desk.kubectl("delete", "pvc", "--all", "--timeout=120s")
        desk.kubectl("delete", f"pv/{VOLUME}", f"storageclass/{VOLUME}", "--timeout=120s")


def equip(product: Installation, world: Outside, desk: Person) -> None:
    strategy = Path(__file__).with_name("remote_bot.py").read_text()
    desk.applied(
        sample("secret.yaml"),
        config_map(STRATEGY, {"remote_bot.py": strategy}),
        config_map(AUTHORITY, {"ca.crt": world.authority}),
        *volume(product.node.directory / "volumes" / VOLUME),
    )
    login = (f"--docker-username={USER}", f"--docker-password={PASSWORD}")
    server = f"--docker-server={REGISTRY_NAME}"
    desk.kubectl("create", "secret", "docker-registry", PULL_SECRET, server, *login)
    sleep = (f"--image={BOT_IMAGE}", "--command", "--", "sleep", "3600")
    product.node.kubectl("run", PROBER, "--namespace=default", *sleep, check=True)


def config_map(name: str, data: dict[str, str]) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def volume(directory: Path) -> tuple[Object, Object]:
    """Return a storage class and its only volume, in this directory of the node."""
    directory.mkdir(parents=True, exist_ok=True)
    storage_class = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": VOLUME},
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
    }
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE_NAME]}
    persistent_volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": VOLUME},
        "spec": {
            "capacity": {"storage": "100Mi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": VOLUME,
            "local": {"path": str(directory)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
        },
    }
    return storage_class, persistent_volume


def remote_bot(**pod: object) -> Object:
    exchange = {
        "name": "Custom",
        "apiKeySecret": "binance-creds",
        "baseURL": EXCHANGE_URL,
        "proxyURL": PROXY_URL,
        "caBundle": {"name": AUTHORITY},
    }
    strategy = {"type": "Custom", "image": IMAGE}
    return sample_bot(
        strategy=strategy, exchange=exchange, pod={**POD, **pod}, updatePolicy="Immediate"
    )


def current_pod(desk: Person) -> Object:
    """Return the bot's pod, once there is one and none on its way out."""

    def look() -> Object:
        pods = desk.items("pod", bot=BOT)
        assert len(pods) == 1
        assert "deletionTimestamp" not in pods[0]["metadata"]
        return pods[0]

    return eventually(look)


def said(person: Person, pod: str, code: str, *arguments: str, env: tuple[str, ...] = ()) -> str:
    """Return the output of Python in a pod, which runs below the command `env` if that is given."""
    done = person.kubectl("exec", pod, "--", *env, "python3", "-c", code, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def trading(desk: Person) -> Object:
    """Return the bot's pod, once the bot has reported: then the exchange has answered it."""
    desk.await_phase(BOT, "Running")
    await_condition(desk, "RiskReported", "True")
    return current_pod(desk)


def pulled_and_trading(desk: Person) -> Object:
    """Return the pod of the bot that all tests share. It is made if a test runs alone."""
    desk.applied(remote_bot(**PULLING))
    return trading(desk)


def test_an_image_is_pulled_with_the_pull_secret_and_refused_without(
    desk: Person, world: Outside
) -> None:
    desk.applied(remote_bot())

    def refused() -> None:
        bot = desk.get("tradingbot", BOT) or {}
        assert_is_false(bot, "Ready", "ErrImagePull", IMAGE)
        assert {seen["status"] for seen in world.asked("registry")} == {401}

    eventually(lambda: refused() is None)

    pod = pulled_and_trading(desk)
    assert pod["spec"]["containers"][0]["image"] == IMAGE
    pulled = [seen for seen in world.asked("registry") if seen["status"] == 200]
    assert any("/desk/remote-bot/manifests/" in seen["path"] for seen in pulled)


def test_the_bot_reaches_its_exchange_through_the_proxy_and_trusts_its_private_ca(
    desk: Person, world: Outside
) -> None:
    pod = pulled_and_trading(desk)
    name, address = pod["metadata"]["name"], pod["status"]["podIP"]

    tunnels = [seen for seen in world.asked("proxy") if seen["client"] == address]
    assert {(seen["path"], seen["status"]) for seen in tunnels} == {(f"{EXCHANGE_HOST}:443", 200)}
    assert "/positions" in {seen["path"] for seen in world.asked("exchange")}

    url = f"{EXCHANGE_URL}/asked"
    assert said(desk, name, ASK, url) == ""
    direct = said(desk, name, ASK, url, env=("env", "-u", "HTTPS_PROXY", "-u", "https_proxy"))
    assert "Name or service not known" in direct or "name resolution" in direct
    untrusted = said(desk, name, ASK, url, env=("env", "-u", "SSL_CERT_FILE"))
    assert "CERTIFICATE_VERIFY_FAILED" in untrusted
    elsewhere = said(desk, name, ASK, "https://elsewhere.example/")
    assert "403" in elsewhere
    assert int(said(desk, name, TRUSTED)) > 100, "the system's certificates are still there"


def test_a_network_policy_lets_the_bot_do_its_work_and_nothing_else(
    desk: Person, product: Installation
) -> None:
    """The node's own network enforces none, see `policy_rules`."""
    pod = pulled_and_trading(desk)
    name, address = pod["metadata"]["name"], pod["status"]["podIP"]
    policy = desk.get("networkpolicy", BOT)
    assert policy is not None
    outsider = Person(desk.system, "default")
    operators = Person(desk.system, SYSTEM_NAMESPACE)
    operator = product.pods("operator")[0]["metadata"]["name"]
    product.node.kubectl("wait", "--for=condition=Ready", f"pod/{PROBER}", "-n", "default")
    api_server = (NODE_IP, "6443")
    proxy = (PROXY[0], str(PROXY[1]))

    assert said(outsider, PROBER, CONNECT, address, "8080") == ""
    assert said(desk, name, CONNECT, *api_server) == ""
    with enforced(policy, pod, product):
        assert said(outsider, PROBER, CONNECT, address, "8080") == "TimeoutError"
        assert said(desk, name, CONNECT, *api_server) == "TimeoutError"
        assert said(desk, name, CONNECT, *proxy) == ""
        assert said(desk, name, ASK, f"{EXCHANGE_URL}/asked") == ""
        assert said(operators, operator, CONNECT, address, "8080") == ""


def test_a_volume_keeps_its_data_over_a_restart_and_over_the_deletion_of_the_bot(
    desk: Person,
) -> None:
    before = pulled_and_trading(desk)
    first = answers(desk)
    claim = desk.get("pvc", CLAIM)

    environment = [*POD["env"], {"name": "REASON", "value": "a restart"}]
    desk.applied(remote_bot(**PULLING, env=environment))
    eventually(lambda: current_pod(desk)["metadata"]["uid"] != before["metadata"]["uid"])
    trading(desk)
    assert answers(desk)[: len(first)] == first

    desk.kubectl("delete", "tradingbot", BOT, "--timeout=120s")
    # The garbage collector deletes it, after the bot.
    eventually(lambda: desk.get("deployment", BOT) is None)
    kept = desk.get("pvc", CLAIM)
    assert claim is not None
    assert kept is not None
    assert kept["metadata"]["uid"] == claim["metadata"]["uid"]
    assert "deletionTimestamp" not in kept["metadata"]

    pulled_and_trading(desk)
    assert answers(desk)[: len(first)] == first


def answers(desk: Person) -> list[str]:
    """Return what the exchange has said to the bot, as the bot wrote it down."""
    pod = current_pod(desk)["metadata"]["name"]
    read = "import json; print(json.dumps(open('/data/answers').read().split()))"
    found: list[str] = json.loads(said(desk, pod, read))
    assert found
    return found
