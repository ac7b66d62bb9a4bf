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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tradingbot_dev import manifests
from tradingbot_dev.apiclient import http_answer
from tradingbot_dev.controlplane import ControlPlane, ensure, temporary_control_plane
from tradingbot_dev.errors import CommandFailedError
from tradingbot_dev.manifests import Manifests
from tradingbot_dev.processes import Program
from tradingbot_dev.waiting import wait_until

WEBHOOKS = "webhooks"
REGISTRY = "registry"
OPERATOR = "operator"
# Clients of another one come after it, and are stopped before it.
VALIDATING = "tradingbot.validate.trading.io"
NAMES = (WEBHOOKS, REGISTRY, OPERATOR)
READY_SECONDS = 30.0
BOTS = "/apis/trading.io/v1/namespaces/default/tradingbots"


@dataclass(frozen=True)
class System:
    """The three processes on one control plane, whose folder also holds their state."""

    plane: ControlPlane
    environment: Mapping[str, str] = field(default_factory=dict)
    """Settings of the processes that differ from what they are here."""

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
        """Installs the manifests, starts what is not running, and returns when all is ready.

        Returns the names of those started. If it fails, these are stopped again.
        """
        rendered = Manifests.render(self._kustomize)
        self.apply(manifests.text(rendered.installed))
        self._make_certificates()
        started: list[str] = []
        try:
            wait_until(lambda: self._served(rendered), what="the CRDs", seconds=seconds)
            for name in NAMES:
                if self._ensure(name):
                    started.append(name)  # noqa: PERF401 - it must be there if the next one fails
            for name in NAMES:
                self.await_ready(name, seconds=seconds)
            ca = (self.certificates / "ca.crt").read_bytes()
            self.apply(manifests.text(rendered.webhooks_at(self.webhooks_url, ca=ca)))
            wait_until(self._admission_works, what="admission", seconds=seconds)
        except BaseException:
            self.plane.table.stop(*reversed(started))
            raise
        return started

    def start_one(self, name: str) -> None:
        """Starts one of them, if it is not running, and returns when it is ready."""
        self.begin(name)
        self.await_ready(name)

    def begin(self, name: str) -> None:
        """Starts one of them, if it is not running, and does not wait for it."""
        self._ensure(name)

    def await_ready(self, name: str, *, seconds: float = READY_SECONDS) -> None:
        """Until this process says on /readyz that it is."""
        wait_until(
            lambda: self._ready(name),
            what=name,
            seconds=seconds,
            table=self.plane.table,
            needs=(name,),
        )

    def stop_one(self, name: str) -> None:
        """SIGTERM, and SIGKILL if that is not heeded in time."""
        self.plane.table.stop(name)

    def kill(self, name: str) -> None:
        """SIGKILL to it and its workers, as when a container ends: no chance to finish anything."""
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
        """Starts an operator under another name, with a token of its own, and doesn't wait for it.

        `settings` are environment variables. `server` is something that stands in for the API
        server. Returns its kubeconfig.
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

    def stop(self) -> list[str]:
        """Stops all three; the names of those that were running."""
        return self.plane.table.stop(*reversed(NAMES))

    def apply(self, text: str) -> None:
        """Installs manifests as the administrator. What is there already is not written."""
        self.plane.kubectl(
            *("apply", "--server-side", "--force-conflicts", "--field-manager=tradingbot-dev"),
            *("--filename", "-"),
            stdin=text,
            check=True,
        )

    def program(self, name: str) -> Program:
        """How one of the processes is run."""
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
                    "--drain-delay=0",  # no load balancer has to notice first
                    "--secret-lookup",  # as config/secret-warning has it
                ]
            case "registry":
                listens = (ports.registry,)
                arguments = [
                    "api-server",
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
                ]
            case _:
                raise ValueError(f"no process is called {name!r}; there are {', '.join(NAMES)}")
        return Program(
            name=name,
            command=(tradingbot_path(), *arguments, "--log-format=json"),
            environment={"KUBECONFIG": str(self._kubeconfig(name)), **self.environment},
            ports=listens,
        )

    def _ensure(self, name: str) -> bool:
        """Starts one with a new token, unless it is running; says whether it did."""
        if self.plane.table.running(name) is None or not self._kubeconfig(name).exists():
            self.plane.service_account_kubeconfig(f"tradingbot-{name}")
        return ensure(self.plane.table, self.program(name))

    def _kubeconfig(self, name: str) -> Path:
        return self.plane.service_account_path(f"tradingbot-{name}")

    def _ready(self, name: str) -> bool:
        # Each has its health port, or its only one, last.
        answer = http_answer(self.program(name).ports[-1], "/readyz")
        return answer is not None and answer.status == 200

    def _kustomize(self, folder: Path) -> str:
        return self.plane.kubectl("kustomize", str(folder), check=True).stdout

    def _served(self, rendered: Manifests) -> bool:
        answers = [self.plane.client.get(path) for path in rendered.crd_paths]
        return all(answer is not None and answer.status == 200 for answer in answers)

    def _make_certificates(self) -> None:
        """Makes the webhooks' CA and certificate, or renews what is due; else changes nothing."""
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
        """Whether the API server really asks both webhooks: it takes up a configuration late.

        The default for the profit target is twice the stop, which no schema can say. And to trade
        from ten to ten is well-formed: only the validating webhook finds fault with it.
        """
        bot = manifests.load(manifests.SAMPLE_BOT)
        bot["metadata"]["name"] = "admission-probe"
        broken = copy.deepcopy(bot)
        window = {"days": ["Mon"], "start": "10:00", "end": "10:00"}
        broken["spec"]["schedule"] = {"windows": [window]}
        mutated, denied = self._dry_run(bot), self._dry_run(broken)
        filled = mutated.get("spec", {}).get("riskManagement", {})
        return "takeProfitPercentage" in filled and VALIDATING in denied.get("message", "")

    def _dry_run(self, bot: dict[str, Any]) -> dict[str, Any]:
        answer = self.plane.client.post(f"{BOTS}?dryRun=All", bot)
        body: dict[str, Any] = answer.json() if answer is not None else {}
        return body


@contextmanager
def temporary_system(
    *, audit: bool = True, environment: Mapping[str, str] | None = None
) -> Iterator[System]:
    """The whole product on a control plane of its own, of which nothing is left."""
    with temporary_control_plane(audit=audit) as plane:
        system = System(plane, environment or {})
        system.start()
        yield system


def tradingbot_path() -> str:
    """The console script of this very environment."""
    return str(Path(sys.executable).parent / "tradingbot")
