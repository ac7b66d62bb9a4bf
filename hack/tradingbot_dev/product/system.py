"""The product on a control plane: certificates, manifests, webhooks, registry, operator.

Each process runs as it would in its pod: the same command, as the ServiceAccount of
`config/rbac`, with that account's rights and no others.
"""

import copy
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tradingbot_dev.control_plane.apiclient import http_answer
from tradingbot_dev.control_plane.plane import ControlPlane, ensure, temporary_control_plane
from tradingbot_dev.errors import CommandFailedError
from tradingbot_dev.pods.images import GATEWAY_IMAGE
from tradingbot_dev.processes.table import Program
from tradingbot_dev.processes.waiting import wait_until
from tradingbot_dev.product import manifests
from tradingbot_dev.product.manifests import Manifests

WEBHOOKS = "webhooks"
REGISTRY = "registry"
OPERATOR = "operator"
VALIDATING = "tradingbot.validate.trading.io"
NAMES = (WEBHOOKS, REGISTRY, OPERATOR)
"""In the order of their start: clients come after their server, and are stopped before it."""
READY_SECONDS = 120.0
"""Only for a process that hangs: one that has ended is reported at once."""
BOTS = "/apis/trading.io/v1/namespaces/default/tradingbots"


@dataclass(frozen=True)
class System:
    """The three processes on one control plane. Its directory also holds their state."""

    plane: ControlPlane
    environment: Mapping[str, str] = field(default_factory=dict)
    """Additional environment variables of the processes."""

    @property
    def registry_url(self) -> str:
        return f"http://127.0.0.1:{self.plane.ports.registry}"

    @property
    def webhooks_url(self) -> str:
        return f"https://127.0.0.1:{self.plane.ports.webhooks}"

    @property
    def certificates(self) -> Path:
        return self.plane.directory / "certs"

    def log_file(self, name: str) -> Path:
        return self.plane.table.log_file(name)

    def start(self, *, seconds: float = READY_SECONDS) -> list[str]:
        """Install the manifests, start what is not running, and wait until all is ready.

        Returns the names of those started. On failure, these are stopped again.
        """
        rendered = Manifests.render(self._kustomize)
        self.apply(manifests.text(rendered.installed))
        self._make_certificates()
        before = self.plane.table.all_running()
        started: list[str] = []
        try:
            wait_until(lambda: self._served(rendered), what="the CRDs", seconds=seconds)
            started += [name for name in NAMES if self._ensure(name)]
            for name in NAMES:
                self.await_ready(name, seconds=seconds)
            ca = (self.certificates / "ca.crt").read_bytes()
            self.apply(manifests.text(rendered.webhooks_at(self.webhooks_url, ca=ca)))
            wait_until(self._admission_works, what="admission", seconds=seconds)
        except BaseException:
            self.stop(only=self.plane.table.started_since(before))
            raise
        return started

    def start_one(self, name: str) -> None:
        """Start a process, if it is not running, and wait until it is ready."""
        self.begin(name)
        self.await_ready(name)

    def begin(self, name: str) -> None:
        """Start a process, if it is not running, without waiting for it."""
        self._ensure(name)

    def await_ready(self, name: str, *, seconds: float = READY_SECONDS) -> None:
        """Wait until the process reports on /readyz that it is ready."""
        wait_until(
            lambda: self._ready(name),
            what=name,
            seconds=seconds,
            table=self.plane.table,
            needs=(name,),
        )

    def stop_one(self, name: str) -> None:
        """Send SIGTERM, and SIGKILL if the process does not end in time."""
        self.plane.table.stop(name)

    def kill(self, name: str) -> None:
        """Send SIGKILL to a process and its workers, as when a container ends."""
        identity = self.plane.table.running(name)
        self.plane.table.kill(name)
        if identity is not None:
            with suppress(ProcessLookupError):
                os.killpg(identity.pid, signal.SIGKILL)  # it led a session of its own

    def restart(self, name: str) -> None:
        self.stop_one(name)
        self.start_one(name)

    def start_another_operator(
        self, name: str, *, health_port: int, settings: Mapping[str, str], server: str = ""
    ) -> Path:
        """Start an operator under another name, with its own token, without waiting for it.

        `settings` are environment variables. `server` is the URL of a proxy of the API server.
        Returns the kubeconfig.
        """
        usual = self.program(OPERATOR)
        kubeconfig = self._kubeconfig(OPERATOR).with_name(f"{name}.yaml")
        shutil.copy(self.plane.service_account_kubeconfig(f"tradingbot-{OPERATOR}"), kubeconfig)
        if server:
            text = kubeconfig.read_text()
            kubeconfig.write_text(text.replace(self.plane.server, server))
        command = [part for part in usual.command if not part.startswith("--health-port=")]
        program = Program(
            name=name,
            command=(*command, f"--health-port={health_port}"),
            environment={**self.environment, **settings, "KUBECONFIG": str(kubeconfig)},
            ports=(health_port,),
        )
        ensure(self.plane.table, program)
        return kubeconfig

    def stop(self, *, only: Collection[str] = NAMES) -> list[str]:
        """Stop all three or `only` these. Return the names of those that were running."""
        return self.plane.table.stop(*(name for name in reversed(NAMES) if name in only))

    def apply(self, text: str) -> None:
        """Apply manifests as the administrator. Objects that are unchanged are not written."""
        self.plane.kubectl(
            *("apply", "--server-side", "--force-conflicts", "--field-manager=tradingbot-dev"),
            *("--filename", "-"),
            stdin=text,
            check=True,
        )

    def program(self, name: str) -> Program:
        """Return how to run one of the processes."""
        ports = self.plane.ports
        listens: tuple[int, ...]
        match name:
            case "webhooks":
                listens = (ports.webhooks, ports.webhooks_health)
                arguments = [
                    "webhooks",
                    "--host=127.0.0.1",
                    f"--port={ports.webhooks}",
                    f"--health-port={ports.webhooks_health}",
                    f"--cert-dir={self.certificates}",
                    "--drain-delay=0",  # no load balancer has to notice the end first
                ]
            case "registry":
                listens = (ports.registry,)
                arguments = [
                    "registry",
                    "--host=127.0.0.1",
                    f"--port={ports.registry}",
                    f"--database-url=sqlite:///{self.plane.directory / 'registry.db'}",
                ]
            case "operator":
                listens = (ports.operator_health,)
                arguments = [
                    "operator",
                    f"--health-port={ports.operator_health}",
                    f"--registry-url={self.registry_url}",
                    # In a cluster, that of the operator's pod. Here, local pods run it.
                    f"--gateway-image={GATEWAY_IMAGE}:local",
                ]
            case _:
                raise ValueError(f"unknown process {name!r}; known are {', '.join(NAMES)}")
        return Program(
            name=name,
            command=(tradingbot_path(), *arguments, "--log-format=json"),
            environment={"KUBECONFIG": str(self._kubeconfig(name)), **self.environment},
            ports=listens,
        )

    def _ensure(self, name: str) -> bool:
        """Start a process with a new token, unless it is running. Return whether it was started."""
        if self.plane.table.running(name) is None or not self._kubeconfig(name).exists():
            self.plane.service_account_kubeconfig(f"tradingbot-{name}")
        return ensure(self.plane.table, self.program(name))

    def _kubeconfig(self, name: str) -> Path:
        return self.plane.service_account_path(f"tradingbot-{name}")

    def _ready(self, name: str) -> bool:
        # The last port is the health port, or the only port.
        answer = http_answer(self.program(name).ports[-1], "/readyz")
        return answer is not None and answer.status == 200

    def _kustomize(self, directory: Path) -> str:
        return self.plane.kubectl("kustomize", str(directory), check=True).stdout

    def _served(self, rendered: Manifests) -> bool:
        answers = [self.plane.client.get(path) for path in rendered.crd_paths]
        return all(answer is not None and answer.status == 200 for answer in answers)

    def _make_certificates(self) -> None:
        """Create the webhooks' CA and certificate, or renew them if they are due."""
        done = subprocess.run(
            [
                *(tradingbot_path(), "certs", "--once", f"--cert-dir={self.certificates}"),
                "--cert-names=127.0.0.1,localhost",
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise CommandFailedError("tradingbot certs failed", detail=done.stderr.strip())

    def _admission_works(self) -> bool:
        """Return whether the API server calls both webhooks: a configuration takes effect late.

        Only the mutating webhook turns a fraction without quotes into a string; the schema rejects
        it. A window from 10:00 to 10:00 is well-formed: only the validating webhook rejects it.
        """
        bot = manifests.load(manifests.SAMPLE_BOT)
        bot["metadata"]["name"] = "admission-probe"
        broken = copy.deepcopy(bot)
        bot["spec"]["riskManagement"]["stopLossPercentage"] = 2.5
        window = {"days": ["Mon"], "start": "10:00", "end": "10:00"}
        broken["spec"]["schedule"] = {"windows": [window]}
        mutated, denied = self._dry_run(bot), self._dry_run(broken)
        limits = mutated.get("spec", {}).get("riskManagement", {})
        is_mutated = limits.get("stopLossPercentage") == "2.5"
        return is_mutated and VALIDATING in denied.get("message", "")

    def _dry_run(self, bot: dict[str, Any]) -> dict[str, Any]:
        answer = self.plane.client.post(f"{BOTS}?dryRun=All", bot)
        body: dict[str, Any] = answer.json() if answer is not None else {}
        return body


@contextmanager
def temporary_system(
    *,
    audit: bool = True,
    environment: Mapping[str, str] | None = None,
    local_pods: bool = False,
) -> Iterator[System]:
    """Run the whole product on a new control plane. Nothing of it is left afterwards."""
    with temporary_control_plane(audit=audit, local_pods=local_pods) as plane:
        system = System(plane, environment or {})
        system.start()
        yield system


def tradingbot_path() -> str:
    """Return the console script of this Python environment."""
    return str(Path(sys.executable).parent / "tradingbot")
