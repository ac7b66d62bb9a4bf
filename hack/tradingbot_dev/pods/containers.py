"""The processes of containers: started, found again, signalled."""

import json
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from tradingbot_dev.pods import shim
from tradingbot_dev.pods.plan import ContainerPlan, PodDirectory
from tradingbot_dev.pods.records import write_private
from tradingbot_dev.processes.table import Identity, ProcessTable, Program

PREFIX = "pod-"
"""What the names of these processes in the process table begin with."""
KEPT_LOGS = 2


@dataclass(frozen=True)
class State:
    """The directories of one control plane, as far as its pods need them."""

    path: Path

    @property
    def pods(self) -> Path:
        return self.path / "pods"

    @property
    def run(self) -> Path:
        return self.path / "run"

    def pod(self, uid: str) -> PodDirectory:
        return PodDirectory(self.pods / uid)

    def logs(self, namespace: str, name: str, uid: str) -> Path:
        """Return the directory of a pod's logs, named as the kubelet names it."""
        return self.path / "log" / "pods" / f"{namespace}_{name}_{uid}"


@dataclass(frozen=True)
class Container:
    """One container of a pod, whose process may run or not."""

    state: State
    uid: str
    name: str
    logs: Path
    """The directory of the logs of its pod."""

    @property
    def process_name(self) -> str:
        return f"{PREFIX}{self.uid}-{self.name}"

    @property
    def directory(self) -> Path:
        return self.state.pod(self.uid).container(self.name)

    @property
    def table(self) -> ProcessTable:
        return ProcessTable(run=self.state.run, log=self.directory)

    def exit_file(self, attempt: int) -> Path:
        return self.directory / f"{attempt}.exit"

    def log_file(self, attempt: int) -> Path:
        return self.logs / self.name / f"{attempt}.log"

    def running(self) -> Identity | None:
        """Return the shim, if it runs."""
        return self.table.running(self.process_name)

    def start(self, plan: ContainerPlan, *, attempt: int) -> None:
        """Start the process. Raises ProcessDiedError if the shim can't be started."""
        log = self.log_file(attempt)
        for directory in (self.directory, plan.directory, log.parent):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.exit_file(attempt).unlink(missing_ok=True)
        log.touch(mode=0o600)
        self.log_file(attempt - KEPT_LOGS).unlink(missing_ok=True)
        self.exit_file(attempt - KEPT_LOGS).unlink(missing_ok=True)
        spec = self.directory / f"{attempt}.spec"
        content = {
            "command": plan.command,
            "directory": str(plan.directory),
            "environment": dict(plan.environment),
            "exitFile": str(self.exit_file(attempt)),
            "logFile": str(log),
        }
        write_private(spec, json.dumps(content))
        command = (sys.executable, "-I", "-S", shim.__file__, str(spec))
        self.table.start(Program(self.process_name, command))

    def terminate(self) -> None:
        """Send SIGTERM to the container's process."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL to the container's process and its group."""
        self._signal(signal.SIGUSR1)

    def _signal(self, number: signal.Signals) -> None:
        identity = self.running()
        if identity is not None:
            identity.send(number)

    def forget(self) -> None:
        self.table.pid_file(self.process_name).unlink(missing_ok=True)
