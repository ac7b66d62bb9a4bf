"""A namespace called `svc`: its owner answers for names with too few dots.

`tradingbot-registry.tradingbot-system.svc` is first tried as that name in `svc.cluster.local`,
which is a host of a headless Service `tradingbot-system` in the namespace `svc`.
"""

from collections.abc import Iterator

import pytest
import yaml
from installation import Installation
from person import Object, Person, condition, eventually
from real_bots import BOT, BOT_IMAGE, await_condition, running_bot
from tradingbot_dev.control_plane.plane import SYSTEM_NAMESPACE

NAMESPACE = "svc"
RELATIVE = f"tradingbot-registry.{SYSTEM_NAMESPACE}.svc"
PORT = 8090
METRICS = "tradingbot-metrics"
# Takes every connection, prints all that arrives on it, and answers as a careless server would.
RECORDER = f"""
import socketserver
class Record(socketserver.StreamRequestHandler):
    def handle(self):
        print("connected", self.client_address[0], flush=True)
        while chunk := self.request.recv(65536):
            print("received", chunk, flush=True)
            self.request.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\n{{}}")
socketserver.ThreadingTCPServer.allow_reuse_address = True
socketserver.ThreadingTCPServer(("", {PORT}), Record).serve_forever()
"""


def attacker() -> list[Object]:
    """What a tenant with `edit` in that namespace makes there."""
    labels = {"app": "attacker"}
    container = {
        "name": "recorder",
        "image": BOT_IMAGE,
        "imagePullPolicy": "IfNotPresent",
        # Without a probe, which would be a connection.
        "command": ["python3", "-c", RECORDER],
    }
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": SYSTEM_NAMESPACE, "namespace": NAMESPACE},
            "spec": {
                "clusterIP": "None",
                "publishNotReadyAddresses": True,
                "selector": labels,
                "ports": [{"name": "https", "port": PORT}],
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "recorder", "namespace": NAMESPACE, "labels": labels},
            "spec": {
                "hostname": "tradingbot-registry",
                "subdomain": SYSTEM_NAMESPACE,
                "terminationGracePeriodSeconds": 0,
                "containers": [container],
            },
        },
    ]


@pytest.fixture
def svc(product: Installation) -> Iterator[Person]:
    kubectl = product.node.kubectl
    kubectl("create", "namespace", NAMESPACE, check=True)
    someone = Person(product.node, NAMESPACE)  # type: ignore[arg-type]  # it needs a `plane` only
    try:
        kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(attacker()), check=True)
        kubectl(
            *("-n", NAMESPACE, "wait", "pod/recorder", "--for=condition=Ready", "--timeout=120s"),
            check=True,
        )
        yield someone
    finally:
        kubectl("delete", "namespace", NAMESPACE, "--wait=false", check=True)


def in_pod(person: Person, pod: str, code: str) -> str:
    done = person.kubectl("exec", pod, "--", "python3", "-c", code)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_it_gets_neither_a_connection_nor_a_token_of_the_operators(
    product: Installation, person: Person, svc: Person
) -> None:
    # The trap is set: from any pod whose search list is as the kubelet makes it, the relative name
    # leads into the namespace of the attacker.
    own = f"import socket; print(socket.gethostbyname('{RELATIVE}'))"
    recorder = svc.get("pod", "recorder")
    assert recorder is not None
    eventually(lambda: in_pod(svc, "recorder", own) == recorder["status"]["podIP"])
    # New operators, which have resolved nothing yet.
    restart = ("rollout", "restart", "deployment/tradingbot-operator")
    product.node.kubectl("-n", SYSTEM_NAMESPACE, *restart, check=True)
    waiting = ("rollout", "status", "deployment/tradingbot-operator", "--timeout=3m")
    product.node.kubectl("-n", SYSTEM_NAMESPACE, *waiting, check=True)
    running_bot(person)
    bot = await_condition(person, "RegistrySynced", "True")
    assert condition(bot, "RegistrySynced")["reason"] == "Synced"
    seen = svc.kubectl("logs", "recorder").stdout
    # None of our pods has connected at all: the name that is asked for is absolute.
    for pod in product.pods("operator"):
        assert pod["status"]["podIP"] not in seen
    assert "Bearer" not in seen


def test_other_pods_are_shown_no_metrics_of_bots_without_the_token(
    product: Installation, person: Person
) -> None:
    running_bot(person)
    (pod,) = person.items("pod", bot=BOT)

    def asked(token: str) -> tuple[int, str]:
        """What the acting operator, or the other one, shows a tenant's pod."""
        address = product.pods("operator")[0]["status"]["podIP"]
        code = (
            "import http.client, sys;"
            f"c = http.client.HTTPConnection('{address}', 8082, timeout=10);"
            f"c.request('GET', '/metrics', headers={{'Authorization': 'Bearer {token}'}});"
            "r = c.getresponse(); print(r.status); print(r.read().decode())"
        )
        status, _, text = in_pod(person, pod["metadata"]["name"], code).partition("\n")
        return int(status), text

    status, text = asked("guess")
    assert status == 403, "there is no token to ask for yet"
    assert "tradingbot_" not in text
    kubectl = product.node.kubectl
    made = ("create", "secret", "generic", METRICS, "--from-literal=token=correct")
    kubectl("-n", SYSTEM_NAMESPACE, *made, check=True)
    try:
        # The kubelet brings it into the running pods.
        eventually(lambda: asked("correct")[0] == 200)
        assert "tradingbot_operator_leader" in asked("correct")[1]
        status, text = asked("guess")
        assert status == 401
        assert "tradingbot_" not in text
    finally:
        kubectl("-n", SYSTEM_NAMESPACE, "delete", "secret", METRICS, check=True)
