"""A real Kubernetes control plane: etcd, API server, controllers, scheduler, a simulated node.

`make up` uses it with fixed ports and state that is kept, the tests with free ports and a
directory that is removed. kwok simulates the node: it reports that pods run, and runs nothing.

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
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tradingbot_dev.control_plane import components
from tradingbot_dev.control_plane.apiclient import ApiClient
from tradingbot_dev.control_plane.components import NODE_NAME
from tradingbot_dev.control_plane.kubeconfig import write_kubeconfig
from tradingbot_dev.control_plane.layout import Layout
from tradingbot_dev.control_plane.pki import ADMIN, CLIENTS
from tradingbot_dev.control_plane.ports import LOOPBACK, Ports, demand_free
from tradingbot_dev.errors import CommandFailedError, NotReadyError, ToolMissingError
from tradingbot_dev.processes.guard import Guard
from tradingbot_dev.processes.table import Identity, ProcessTable, Program
from tradingbot_dev.processes.waiting import wait_until
from tradingbot_dev.toolchain.assets import find_assets

START_SECONDS = 120.0
PODS = 2000
SYSTEM_NAMESPACE = "tradingbot-system"
# Every start requests a new token. It outlives a machine that is never restarted.
TOKEN_LIFETIME = dt.timedelta(days=365)


@dataclass(frozen=True, kw_only=True)
class ControlPlane(Layout):
    """One control plane, in `directory`. Every method may be called in any state."""

    pods: int = PODS
    """The number of pods that fit on the node."""

    @property
    def table(self) -> ProcessTable:
        return ProcessTable(run=self.run, log=self.log)

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
        """Start what is not running and wait until all is ready. Return the names of those started.

        On failure, what this call started is stopped again.
        """
        self.prepare()
        before = self.table.all_running()
        started: list[str] = []
        try:
            for wave in components.start_order(self):
                started += [program.name for program in wave if ensure(self.table, program)]
                self.await_api(seconds=seconds)
            self._await_node(seconds=seconds)
            if self.local_pods:
                self._await_local_pods(seconds=seconds)
        except BaseException:
            self.stop(only=self.table.started_since(before))
            raise
        return started

    def await_api(self, *, seconds: float) -> None:
        """Wait until the API server answers and has created its built-in roles."""
        wait_until(
            self._api_ready,
            what="kube-apiserver",
            seconds=seconds,
            table=self.table,
            needs=(components.ETCD, components.KUBE_APISERVER),
        )

    def _await_node(self, *, seconds: float) -> None:
        """Wait until pods can be created and the node is ready."""
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

    def _await_local_pods(self, *, seconds: float) -> None:
        """Wait until the agent knows the pods, and has found the processes of the one before."""
        wait_until(
            self._kubelet_ready,
            what="the agent of the local pods",
            seconds=seconds,
            table=self.table,
            needs=(components.KUBE_APISERVER, components.LOCAL_PODS),
        )

    def _kubelet_ready(self) -> bool:
        answer = replace(self.client, port=self.ports.kubelet, host=LOOPBACK).get("/healthz")
        return answer is not None and answer.status == 200

    def stop(self, *, only: Collection[str] | None = None) -> list[str]:
        """Stop all processes or `only` these, in reverse order. Return those that were running."""
        stopped: list[str] = []
        for names in components.STOP_ORDER:
            chosen = [name for name in names if only is None or name in only]
            if self.temporary:
                for name in chosen:
                    self.table.kill(name)  # its state is removed anyway
            stopped += self.table.stop(*chosen)
        return stopped

    def kubectl(
        self,
        *arguments: str,
        stdin: str | None = None,
        kubeconfig: Path | None = None,
        check: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl as the administrator or with another kubeconfig.

        With `check`, an exit code other than 0 raises CommandFailedError with kubectl's output.
        """
        done = subprocess.run(
            [kubectl_path(), *arguments],
            input=stdin if stdin is not None else "",
            env={
                **os.environ,
                "KUBECONFIG": str(kubeconfig or self.kubeconfig),
                # kubectl caches the server's resources by port, and ports are reused.
                "KUBECACHEDIR": str(self.directory / "kubectl-cache"),
                # It runs for a moment: to collect garbage takes a quarter of its CPU time.
                "GOGC": "400",
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
        """Write a kubeconfig with a new token of this ServiceAccount, which must exist."""
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
            raise CommandFailedError(
                f"could not create a token for ServiceAccount {namespace}/{name}", detail=said
            )
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
        """Return the path that `service_account_kubeconfig` writes."""
        return self.directory / "kubeconfigs" / f"{name}.yaml"

    def audit_length(self) -> int:
        """Return the length of the audit log in bytes."""
        return self.audit_log.stat().st_size if self.audit_log.exists() else 0

    def audit_events(self, *, containing: str = "", begin: int = 0) -> Iterator[dict[str, Any]]:
        """Yield the requests to the API server, oldest first: `audit.k8s.io/v1` Events.

        Only those whose JSON has this text, such as a namespace, are parsed, and only the log from
        the length `begin` on is read: that of a control plane that many tests share has hundreds
        of megabytes.
        """
        if not self.audit:
            raise NotReadyError("this control plane was created without audit=True")
        wanted = containing.encode()
        with self.audit_log.open("rb") as lines:
            if begin:  # a line may have been written in part then
                lines.seek(begin - 1)
                lines.readline()
            for line in lines:
                if wanted in line and line.endswith(b"\n"):
                    yield json.loads(line)

    def prepare(self) -> None:
        """Create what the processes need to start: certificates, kubeconfigs, the audit policy."""
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
        if self.audit:
            self.audit_policy.write_text(json.dumps(components.audit_policy()))
        if self.local_pods:
            for path in self.stages:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(self.stage_texts[path.name])

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
        return any(
            condition["type"] == "Ready" and condition["status"] == "True"
            for condition in conditions
        )


def ensure(table: ProcessTable, program: Program) -> bool:
    """Start a program unless it is running already, unchanged. Return whether it was started."""
    running: Identity | None = table.running(program.name)
    if running is not None and running.fingerprint == program.fingerprint:
        return False
    table.stop(program.name)
    for port in program.ports:
        demand_free(port, needed_by=program.name)
    table.start(program)
    return True


@contextmanager
def temporary_control_plane(
    *, audit: bool = True, pods: int = PODS, local_pods: bool = False
) -> Iterator[ControlPlane]:
    """Run a control plane on free ports. Nothing of it is left, even after a SIGKILL."""
    with temporary_directory() as directory:
        control_plane = ControlPlane(
            directory=directory,
            ports=Ports.free(),
            assets=find_assets(),
            temporary=True,
            audit=audit,
            pods=pods,
            local_pods=local_pods,
        )
        control_plane.start()
        yield control_plane


@contextmanager
def temporary_directory() -> Iterator[Path]:
    """Create a directory. It and its processes end with this process: see `guard`."""
    directory = Path(tempfile.mkdtemp(prefix="tradingbot-"))
    guard = Guard(run=directory / "run", directory=directory)
    try:
        yield directory
    finally:
        guard.close()


def kubectl_path() -> str:
    """Return the kubectl of the development requirements, or else the one on the PATH."""
    beside = Path(sys.executable).parent / "kubectl"
    found = str(beside) if beside.exists() else shutil.which("kubectl")
    if found is None:
        raise ToolMissingError("kubectl is not installed; run: make install")
    return found
