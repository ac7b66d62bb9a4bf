"""A real Kubernetes control plane of one's own: etcd, API server, controllers, scheduler, a node.

Used twice: by `make up`, with fixed ports and state that stays, and by the tests, with free ports
and a folder that is removed. The node is kwok's, which says that pods run, and runs nothing.

    with temporary_control_plane() as control_plane:
        control_plane.kubectl("apply", "-f", "-", stdin=manifest)
"""

import datetime as dt
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tradingbot_dev import components
from tradingbot_dev.apiclient import ApiClient
from tradingbot_dev.assets import Assets, find_assets
from tradingbot_dev.components import NODE_NAME
from tradingbot_dev.errors import CommandFailedError, NotReadyError, ToolMissingError
from tradingbot_dev.guard import Guard
from tradingbot_dev.kubeconfig import write_kubeconfig
from tradingbot_dev.pki import ADMIN, CLIENTS, Pki
from tradingbot_dev.ports import LOOPBACK, Ports, demand_free
from tradingbot_dev.processes import Identity, ProcessTable, Program
from tradingbot_dev.waiting import wait_until

START_SECONDS = 60.0
PODS = 2000
SYSTEM_NAMESPACE = "tradingbot-system"
# One that is asked for on every start, and outlives a machine that is never switched off.
TOKEN_LIFETIME = dt.timedelta(days=365)


@dataclass(frozen=True)
class ControlPlane:
    """One control plane, kept in `directory`. Every method may be called in any state of it."""

    directory: Path
    ports: Ports
    assets: Assets
    temporary: bool = False
    audit: bool = False
    pods: int = PODS
    """How many pods the node has room for."""
    host: str = LOOPBACK
    """Where the API server is reached. Another one must be in its certificate: see `Pki`."""

    @property
    def pki(self) -> Pki:
        return Pki(self.directory / "pki")

    @property
    def table(self) -> ProcessTable:
        return ProcessTable(run=self.directory / "run", log=self.directory / "log")

    @property
    def server(self) -> str:
        return f"https://{self.host}:{self.ports.kube_apiserver}"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's."""
        return self.directory / "kubeconfig"

    @property
    def client(self) -> ApiClient:
        return ApiClient(
            port=self.ports.kube_apiserver,
            ca=self.pki.ca,
            certificate=self.pki.certificate(ADMIN),
            key=self.pki.key(ADMIN),
            host=self.host,
        )

    def start(self, *, seconds: float = START_SECONDS) -> list[str]:
        """Starts what is not running, and returns when all is ready: the names of those started.

        If that fails, what this call started is stopped again.
        """
        self.prepare()
        started: list[str] = []
        try:
            for wave in components.start_order(self):
                for program in wave:
                    if ensure(self.table, program):
                        started.append(program.name)  # noqa: PERF401 - the next one may fail
                self.await_api(seconds=seconds)
            self._await_node(seconds=seconds)
        except BaseException:
            self.stop(only=started)
            raise
        return started

    def await_api(self, *, seconds: float) -> None:
        """Until the API server answers, with its built-in roles made."""
        wait_until(
            self._api_ready,
            what="kube-apiserver",
            seconds=seconds,
            table=self.table,
            needs=(components.ETCD, components.KUBE_APISERVER),
        )

    def _await_node(self, *, seconds: float) -> None:
        """Until pods can be made, and the node is there to run them."""
        wait_until(
            lambda: self._exists("/api/v1/namespaces/default/serviceaccounts/default"),
            what="the default ServiceAccount",
            seconds=seconds,
            table=self.table,
            needs=(components.KUBE_APISERVER, components.CONTROLLER_MANAGER),
        )
        wait_until(
            self._node_ready,
            what="the simulated node",
            seconds=seconds,
            table=self.table,
            needs=(components.KUBE_APISERVER, components.KWOK),
        )

    def stop(self, *, only: Collection[str] | None = None) -> list[str]:
        """Stops all of it, or `only` these, in the reverse order: the names that were running."""
        stopped: list[str] = []
        for names in components.STOP_ORDER:
            chosen = [name for name in names if only is None or name in only]
            if self.temporary:
                for name in chosen:
                    self.table.kill(name)  # nothing is kept that it could save
            stopped += self.table.stop(*chosen)
        return stopped

    def kubectl(
        self,
        *arguments: str,
        stdin: str | None = None,
        kubeconfig: Path | None = None,
        check: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        """Runs the real kubectl, as the administrator or with another kubeconfig.

        With `check`, an exit code other than 0 raises CommandFailedError with what kubectl said.
        """
        done = subprocess.run(
            [kubectl_path(), *arguments],
            input=stdin if stdin is not None else "",
            env={
                **os.environ,
                "KUBECONFIG": str(kubeconfig or self.kubeconfig),
                # Its cache of what the server serves is kept by port, and ports are used again.
                "KUBECACHEDIR": str(self.directory / "kubectl-cache"),
                "NO_PROXY": self.host,
                "no_proxy": self.host,
            },
            capture_output=True,
            text=True,
            check=False,
        )
        if check and done.returncode != 0:
            said = done.stderr.strip() or done.stdout.strip()
            raise CommandFailedError(f"kubectl {' '.join(arguments)} failed", detail=said)
        return done

    def service_account_kubeconfig(self, name: str, *, namespace: str = SYSTEM_NAMESPACE) -> Path:
        """A kubeconfig with a new token of this ServiceAccount, which must exist."""
        answer = self.client.post(
            f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token",
            {
                "apiVersion": "authentication.k8s.io/v1",
                "kind": "TokenRequest",
                "spec": {"expirationSeconds": int(TOKEN_LIFETIME.total_seconds())},
            },
        )
        if answer is None or answer.status != 201:
            said = answer.body.decode() if answer is not None else "no answer"
            raise CommandFailedError(f"no token for ServiceAccount {namespace}/{name}", detail=said)
        path = self.service_account_path(name)
        write_kubeconfig(
            path,
            server=self.server,
            ca=self.pki.ca,
            token=answer.json()["status"]["token"],
            user=name,
        )
        return path

    def service_account_path(self, name: str) -> Path:
        """Where `service_account_kubeconfig` writes."""
        return self.directory / "kubeconfigs" / f"{name}.yaml"

    def audit_events(self) -> Iterator[dict[str, Any]]:
        """What the API server was asked, by whom, oldest first: `audit.k8s.io/v1` Events."""
        if not self.audit:
            raise NotReadyError("this control plane was made without audit=True")
        with components.audit_log(self).open() as lines:
            for line in lines:
                if line.endswith("\n"):
                    yield json.loads(line)

    def prepare(self) -> None:
        """Makes what must be there before anything starts: certificates, kubeconfigs."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.pki.ensure(now=dt.datetime.now(dt.UTC))
        for client in CLIENTS:
            write_kubeconfig(
                self.client_kubeconfig(client),
                server=self.server,
                ca=self.pki.ca,
                certificate=self.pki.certificate(client),
                key=self.pki.key(client),
                user=client,
            )
        components.write_audit_policy(self)

    def client_kubeconfig(self, client: str) -> Path:
        if client == ADMIN:
            return self.kubeconfig
        return self.directory / "kubeconfigs" / f"{client}.yaml"

    def _api_ready(self) -> bool:
        answer = self.client.get("/readyz")
        return answer is not None and answer.status == 200

    def _exists(self, path: str) -> bool:
        answer = self.client.get(path)
        return answer is not None and answer.status == 200

    def _node_ready(self) -> bool:
        answer = self.client.get(f"/api/v1/nodes/{NODE_NAME}")
        if answer is None:
            return False
        if answer.status == 404:
            self.client.post("/api/v1/nodes", components.node(pods=self.pods))
            return False
        conditions = answer.json().get("status", {}).get("conditions", [])
        return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def ensure(table: ProcessTable, program: Program) -> bool:
    """Starts a program unless this very one is running; says whether it did."""
    running: Identity | None = table.running(program.name)
    if running is not None and running.fingerprint == program.fingerprint:
        return False
    table.stop(program.name)
    for port in program.ports:
        demand_free(port, needed_by=program.name)
    table.start(program)
    return True


@contextmanager
def temporary_control_plane(*, audit: bool = True, pods: int = PODS) -> Iterator[ControlPlane]:
    """A started control plane on free ports, of which nothing is left, even after a SIGKILL."""
    with temporary_folder() as folder:
        control_plane = ControlPlane(
            directory=folder,
            ports=Ports.free(),
            assets=find_assets(),
            temporary=True,
            audit=audit,
            pods=pods,
        )
        control_plane.start()
        yield control_plane


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder whose processes end, and which goes, with this process: see `guard`."""
    folder = Path(tempfile.mkdtemp(prefix="tradingbot-"))
    guard = Guard(run=folder / "run", folder=folder)
    try:
        yield folder
    finally:
        guard.close()


def kubectl_path() -> str:
    """The one that the development requirements install, else the PATH's."""
    beside = Path(sys.executable).parent / "kubectl"
    found = str(beside) if beside.exists() else shutil.which("kubectl")
    if found is None:
        raise ToolMissingError("kubectl is not installed; run: make install")
    return found
