"""Pods of our own images run as processes on the simulated node, and behave as on a kubelet."""

import json
import os
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from person import PATIENCE, Object, Person, condition, eventually, named_bot, sample
from tradingbot_dev.control_plane.components import LOCAL_PODS
from tradingbot_dev.control_plane.plane import kubectl_path
from tradingbot_dev.pods.images import IMAGES
from tradingbot_dev.processes.table import RUN_VARIABLE
from tradingbot_dev.product.system import System, temporary_system

IMAGE = next(image for image in IMAGES if "example" in image)
BOT_JSON = json.loads(
    (Path(__file__).parent.parent / "docs" / "schemas" / "bot-v1.schema.json").read_text()
)["examples"][0]


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    """The product on a control plane with local pods. The bots report at their own addresses."""
    settings = {
        "TRADINGBOT_OPERATOR_RISK_INTERVAL": "0.5",
        "TRADINGBOT_OPERATOR_RISK_STATUS_INTERVAL": "0",
    }
    with temporary_system(environment=settings, local_pods=True) as running:
        yield running


@pytest.fixture(autouse=True)
def no_pods_left(person: Person) -> Iterator[None]:
    """Let no test see the pods of another."""
    yield
    person.kubectl("delete", "pods", "--all", "--grace-period=0", "--force")
    person.kubectl("delete", "tradingbots", "--all")


def pod_of(name: str, *, env: tuple[Object, ...] = (), **spec: Any) -> Object:
    """Return a pod of the example's image that has a bot.json, without a TradingBot."""
    config = {"name": "TRADINGBOT_CONFIG", "value": "/etc/tradingbot/bot.json"}
    container = {
        "name": "bot",
        "image": f"{IMAGE}:1",
        "env": [config, *env],
        "volumeMounts": [{"name": "config", "mountPath": "/etc/tradingbot"}],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "containers": [container],
            "volumes": [{"name": "config", "configMap": {"name": "config"}}],
            **spec,
        },
    }


def config_map() -> Object:
    text = json.dumps({**BOT_JSON, "mode": "Paper"})
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "config"},
        "data": {"bot.json": text},
    }


def await_state(person: Person, name: str, state: str, reason: str = "") -> Object:
    """Return the status of the pod's container once it is in that state."""

    def look() -> Object | None:
        found = (person.get("pod", name) or {}).get("status", {}).get("containerStatuses")
        if not found or state not in found[0]["state"]:
            return None
        return found[0] if reason in ("", found[0]["state"][state].get("reason")) else None

    found = eventually(look)
    assert found is not None
    return found


def processes(system: System, uid: str) -> list[int]:
    """Return the processes of the control plane that run the example bot in that pod."""
    mark = f"{RUN_VARIABLE}={system.plane.run.resolve()}".encode()
    home = f"HOME={system.plane.directory.resolve()}/pods/{uid}/home".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                environment = (entry / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if mark in environment and home in environment:
                found.append(int(entry.name))
    return found


def process(system: System, uid: str) -> int:
    (pid,) = eventually(lambda: processes(system, uid))
    return pid


def running_pod(person: Person, name: str, **spec: Any) -> tuple[str, int]:
    """Start a pod. Return its uid and the pid of its process."""
    person.applied(config_map(), pod_of(name, **spec))
    await_state(person, name, "running")
    found = person.get("pod", name)
    assert found is not None
    uid = str(found["metadata"]["uid"])
    return uid, process(person.system, uid)


def serves(person: Person, name: str) -> bool:
    """Whether the process of the pod listens."""
    found = person.get("pod", name)
    assert found is not None
    try:
        socket.create_connection((found["status"]["podIP"], 8080), timeout=5).close()
    except OSError:
        return False
    return True


def kubectl(person: Person, *arguments: str) -> subprocess.Popen[str]:
    """Start kubectl in the namespace, to be read while it runs."""
    command = [kubectl_path(), "-n", person.namespace, *arguments]
    environment = {**os.environ, "KUBECONFIG": str(person.system.plane.kubeconfig)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def logs(person: Person, name: str, *options: str) -> str:
    done = person.kubectl("logs", name, *options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_bot_of_our_own_image_reports_and_follows_its_bot_json(person: Person) -> None:
    bot = named_bot("walker")
    bot["spec"]["strategy"]["image"] = f"{IMAGE}:1"
    person.applied(sample("secret.yaml"), bot)

    def figures() -> tuple[str, ...]:
        found = person.await_phase("walker", "Running")
        assert condition(found, "RiskReported")["status"] == "True"
        return (found["status"]["risk"]["dayPnL"],)

    first = eventually(figures)
    eventually(lambda: figures() != first)
    assert "walker" in person.kubectl("get", "tbot").stdout
    (before,) = person.items("pods", bot="walker")
    assert before["status"]["podIP"].startswith("127.")
    warnings = person.kubectl("get", "events", "--field-selector", "type=Warning", "-o", "name")
    assert warnings.stdout == ""

    person.patched("tradingbot", "walker", {"spec": {"riskManagement": {"dailyLossLimit": "150"}}})

    def applied() -> bool:
        found = person.get("tradingbot", "walker") or {}
        assert found["status"]["observedGeneration"] == found["metadata"]["generation"]
        return bool(condition(found, "ConfigApplied")["status"] == "True")

    eventually(applied)
    (after,) = person.items("pods", bot="walker")
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["status"]["containerStatuses"][0]["restartCount"] == 0

    person.deleted("pod", after["metadata"]["name"])

    def replaced() -> bool:
        pods = person.items("pods", bot="walker")
        uids = [pod["metadata"]["uid"] for pod in pods if "startTime" in pod["status"]]
        return uids != [] and before["metadata"]["uid"] not in uids

    eventually(replaced)
    assert processes(person.system, before["metadata"]["uid"]) == []


def test_logs_are_those_of_the_process(person: Person) -> None:
    running_pod(person, "a")
    eventually(lambda: logs(person, "a").count("profit") >= 3)
    assert logs(person, "a", "--tail=1").count("\n") == 1
    assert len(logs(person, "a", "--limit-bytes=5")) == 5
    previous = person.kubectl("logs", "a", "--previous")
    assert 'previous terminated container "bot" in pod "a" not found' in previous.stderr
    assert "have no times" in person.kubectl("logs", "a", "--timestamps").stderr


def test_followed_logs_end_with_the_process(person: Person) -> None:
    uid, pid = running_pod(person, "a")
    with kubectl(person, "logs", "a", "--follow") as follows:
        assert follows.stdout is not None
        first = follows.stdout.readline()
        os.kill(pid, signal.SIGTERM)
        followed = first + follows.communicate(timeout=PATIENCE)[0]
    assert followed.count("profit") == followed.count("\n")
    eventually(lambda: await_state(person, "a", "running")["restartCount"] == 1)
    assert logs(person, "a", "--previous") == followed
    assert process(person.system, uid) != pid


def test_what_a_process_can_not_do_is_said(person: Person) -> None:
    running_pod(person, "a")
    for command in (("exec", "a", "--", "ls"), ("port-forward", "a", "18080:8080")):
        done = person.kubectl(*command)
        assert done.returncode != 0
        assert "is not supported: the pod is a process on this machine" in done.stderr
    person.applied(
        pod_of("shell", containers=[{**pod_of("x")["spec"]["containers"][0], "command": ["sh"]}])
    )
    found = await_state(person, "shell", "waiting", "CreateContainerConfigError")
    assert "command is not supported" in found["state"]["waiting"]["message"]


def test_other_pods_are_simulated_as_before(person: Person) -> None:
    other = pod_of("other")
    other["spec"]["containers"][0]["image"] = f"{IMAGE}-2:1"
    person.applied(other)
    await_state(person, "other", "running")
    assert "nothing runs in this pod" in person.kubectl("logs", "other").stderr
    assert person.kubectl("delete", "pod", "other").returncode == 0


def test_a_pod_waits_for_its_secret_and_its_config_map(person: Person) -> None:
    key = {"secretKeyRef": {"name": "late", "key": "k"}}
    person.applied(pod_of("a", env=({"name": "KEY", "valueFrom": key},)))
    await_state(person, "a", "waiting", "ContainerCreating")
    eventually(lambda: person.warnings("a", "FailedMount", kind="Pod"))
    person.applied(config_map())
    found = await_state(person, "a", "waiting", "CreateContainerConfigError")
    assert found["state"]["waiting"]["message"] == 'secret "late" not found'
    assert found["restartCount"] == 0
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "late"}}
    person.applied({**secret, "stringData": {"other": "x"}})
    eventually(lambda: "couldn't find key k" in str(person.get("pod", "a")))
    person.applied({**secret, "stringData": {"k": "s3cr3t-value"}})
    await_state(person, "a", "running")
    uid = person.get("pod", "a")["metadata"]["uid"]  # type: ignore[index]
    pid = process(person.system, uid)
    assert b"KEY=s3cr3t-value\0" in Path(f"/proc/{pid}/environ").read_bytes()
    files = [path for path in person.system.plane.directory.glob("pods/**/*") if path.is_file()]
    assert not any(b"s3cr3t-value" in path.read_bytes() for path in files)
    person.kubectl("delete", "pod", "a")
    eventually(lambda: not (person.system.plane.directory / "pods" / uid).exists())


def test_a_pod_waits_for_a_port_that_is_taken_on_all_addresses(person: Person) -> None:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = taken.getsockname()[1]
        pod = pod_of("a")
        pod["spec"]["containers"][0]["ports"] = [{"containerPort": port}]
        person.applied(config_map(), pod)
        found = await_state(person, "a", "waiting", "CreateContainerError")
        assert f"port {port} is taken on 127." in found["state"]["waiting"]["message"]
    await_state(person, "a", "running")


def test_a_crash_loop_shows_as_such(person: Person) -> None:
    broken = config_map()
    broken["data"]["bot.json"] = "{"
    person.applied(broken, pod_of("a"))
    found = await_state(person, "a", "waiting", "CrashLoopBackOff")
    assert found["restartCount"] >= 1
    assert found["lastState"]["terminated"]["exitCode"] == 1
    assert found["lastState"]["terminated"]["reason"] == "Error"
    assert "back-off 10s" in found["state"]["waiting"]["message"]
    assert "JSONDecodeError" in logs(person, "a", "--previous")
    eventually(lambda: person.warnings("a", "BackOff", kind="Pod"))
    person.applied(config_map())
    await_state(person, "a", "running")


def test_a_process_that_ends_when_asked_has_all_the_time_it_may_have(person: Person) -> None:
    uid, _ = running_pod(person, "a", terminationGracePeriodSeconds=600)
    eventually(lambda: serves(person, "a"))  # from then on it ends by itself when asked
    with kubectl(
        person, "get", "pod", "a", "--watch", "--output=jsonpath={.status.phase} "
    ) as seen:
        assert seen.stdout is not None
        assert seen.stdout.read(8) == "Running "
        assert person.kubectl("delete", "pod", "a", "--timeout=30s").returncode == 0
        seen.terminate()
        assert seen.communicate(timeout=PATIENCE)[0].split()[-1] == "Succeeded", "it was killed"
    assert processes(person.system, uid) == []


def test_a_process_that_does_not_end_is_killed_after_its_grace_period(person: Person) -> None:
    uid, pid = running_pod(person, "a", terminationGracePeriodSeconds=3)
    os.kill(pid, signal.SIGSTOP)  # so that SIGTERM has no effect
    began = time.monotonic()
    assert person.kubectl("delete", "pod", "a", "--timeout=30s").returncode == 0
    assert time.monotonic() - began >= 3
    assert processes(person.system, uid) == []


def test_another_agent_continues_with_the_processes_of_one_that_was_killed(person: Person) -> None:
    uids, pids = zip(*(running_pod(person, name) for name in "abcd"), strict=True)
    plane = person.system.plane
    plane.table.kill(LOCAL_PODS)
    os.kill(pids[1], signal.SIGKILL)
    eventually(lambda: processes(person.system, uids[1]) == [])
    person.kubectl("delete", "pod", "c", "--grace-period=0", "--force")
    assert processes(person.system, uids[2]) == [pids[2]]
    (plane.directory / "pods" / uids[3] / "pod.json").write_text("{")  # as by a full disk

    plane.start()

    eventually(lambda: processes(person.system, uids[2]) == [])
    eventually(lambda: await_state(person, "b", "running")["restartCount"] == 1)
    terminated = await_state(person, "b", "running")["lastState"]["terminated"]
    assert (terminated["exitCode"], terminated["reason"]) == (137, "Error")
    assert processes(person.system, uids[0]) == [pids[0]]
    assert await_state(person, "a", "running")["restartCount"] == 0
    eventually(lambda: not (plane.directory / "pods" / uids[2]).exists())
    eventually(lambda: len(found := processes(person.system, uids[3])) == 1 and found != [pids[3]])
    assert "profit" in logs(person, "a")


def test_the_logs_are_for_clients_with_a_certificate_only(person: Person) -> None:
    plane = person.system.plane
    anyone = ssl.create_default_context(cafile=str(plane.pki.ca))
    address = ("127.0.0.1", plane.ports.kubelet)
    with (
        socket.create_connection(address, timeout=10) as plain,
        anyone.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
    ):
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = b""
        with suppress(ssl.SSLError, ConnectionError):  # or the connection ends without an error
            answer = connection.recv(1)
    assert answer == b""
