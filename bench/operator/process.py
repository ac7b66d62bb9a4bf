"""Run the operator of this project or the Go peer in the same way, and read its metrics."""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tradingbot_dev.control_plane.apiclient import http_answer
from tradingbot_dev.control_plane.plane import ControlPlane
from tradingbot_dev.processes.table import Program
from tradingbot_dev.processes.waiting import wait_until
from tradingbot_dev.product.system import tradingbot_path

from bench.common.processes import ServerName, Usage, usage_of

WORKERS = 10
READY_SECONDS = 60.0
POLL_SECONDS = 0.05
_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Counts:
    """An operator's own counts of its work so far."""

    requests: int
    """Requests to the API server. The peer's count includes watches, ours does not."""
    writes: int
    reconciles: int
    """Finished reconciles of bots."""
    pending: int
    """Keys that are due or in progress."""


@dataclass
class Operator:
    """One operator on one control plane, as its ServiceAccount. It can be restarted."""

    name: ServerName
    plane: ControlPlane
    peer: Path | None
    look_seconds: float
    """Seconds between two checks of a bot's Secret."""

    @property
    def service_account(self) -> str:
        """The ServiceAccount of the operator."""
        return service_account(self.name)

    def start(self) -> None:
        """Start the process without waiting for it."""
        self.plane.table.start(self._program())

    def stop(self) -> None:
        """Send SIGTERM and wait for the end of the process."""
        self.plane.table.stop(self._program().name)

    def await_ready(self) -> None:
        """Wait until the operator reports that it is ready."""
        wait_until(
            self._ready,
            what=f"the operator {self.name}",
            seconds=READY_SECONDS,
            table=self.plane.table,
            needs=(self._program().name,),
        )

    def usage(self) -> Usage:
        """Return the usage of the process tree, from /proc."""
        identity = self.plane.table.running(self._program().name)
        if identity is None:
            raise self.plane.table.died(self._program().name)
        return usage_of(identity.pid)

    def counts(self) -> Counts | None:
        """Return the counts from the metrics, or None if there are none yet."""
        answer = http_answer(self._metrics_port, "/metrics")
        if answer is None or answer.status != 200:
            return None
        return _COUNTS[self.name](answer.body.decode())

    def await_quiet(self, *, seconds: float, quiet: float = 2.0) -> Counts:
        """Wait until the operator has done nothing for `quiet` seconds."""
        deadline = time.monotonic() + seconds
        last, since = self._counts_now(), time.monotonic()
        while time.monotonic() < since + quiet:
            if time.monotonic() > deadline:
                raise RuntimeError(f"the operator {self.name} has not become idle: {last}")
            time.sleep(0.2)
            now = self._counts_now()
            if now.reconciles != last.reconciles or now.pending:
                last, since = now, time.monotonic()
        return last

    def await_checked(self, bots: int, *, begun: float, seconds: float) -> float:
        """Return the seconds from `begun` until each of `bots` bots was reconciled and none is due.

        The metrics count every finished reconcile, and a key is in the queue at most once. So all
        bots were reconciled when there are as many reconciles and the queue is empty. Two checks
        later both must still hold, with nothing done since.
        """
        done: float | None = None
        before: Counts | None = None
        looks = 0
        while looks < 3:
            if time.perf_counter() > begun + seconds:
                raise RuntimeError(
                    f"the operator {self.name} has not reconciled its bots in {seconds:.0f} s:"
                    f" {before}"
                )
            now = self.counts()
            if now is None or now.pending or now.reconciles < bots:
                done, looks = None, 0
            elif before is None or now.reconciles != before.reconciles or done is None:
                done, looks = time.perf_counter() - begun, 1
            else:
                looks += 1
            before = now
            time.sleep(POLL_SECONDS)
        assert done is not None
        return done

    def _counts_now(self) -> Counts:
        counts = self.counts()
        if counts is None:
            raise RuntimeError(f"the operator {self.name} serves no metrics")
        return counts

    @property
    def _metrics_port(self) -> int:
        return self.plane.ports.operator_health

    @property
    def _health_port(self) -> int:
        # The registry does not run here, so its port is free.
        return self._metrics_port if self.name == "tradingbot" else self.plane.ports.registry

    def _ready(self) -> bool:
        answer = http_answer(self._health_port, "/readyz")
        return answer is not None and answer.status == 200

    def _program(self) -> Program:
        command: tuple[str, ...]
        if self.name == "go":
            command = (
                str(self.peer),
                f"--metrics-bind-address=127.0.0.1:{self._metrics_port}",
                f"--health-probe-bind-address=127.0.0.1:{self._health_port}",
                f"--workers={WORKERS}",
                f"--credentials-interval={self.look_seconds}s",
            )
        else:
            command = (
                *(tradingbot_path(), "operator", "--log-format=json"),
                *(f"--health-port={self._metrics_port}", f"--workers={WORKERS}"),
                "--registry-url=",
                f"--credentials-interval={self.look_seconds}",
                # Polls are measured separately, with bots that answer.
                "--risk-interval=1000000",
            )
        return Program(
            name=f"operator-{self.name}",
            command=command,
            environment={"KUBECONFIG": str(self.plane.service_account_path(self.service_account))},
            ports=(),
        )


def service_account(name: ServerName) -> str:
    """Return the ServiceAccount that an operator runs as."""
    return "tradingbot-operator" if name == "tradingbot" else "tradingbot-operator-peer"


def total(
    text: str, metric: str, keep: Callable[[Mapping[str, str]], bool] = lambda _: True
) -> int:
    """Return the sum of a metric's samples whose labels `keep` accepts, from Prometheus text."""
    found = 0.0
    for line in text.splitlines():
        if line.startswith(metric) and (match := _SAMPLE.match(line)) and match[1] == metric:
            labels = dict(_LABEL.findall(match[2] or ""))
            if keep(labels):
                found += float(match[3])
    return int(found)


def _ours(text: str) -> Counts:
    requests = "tradingbot_operator_api_requests_total"
    return Counts(
        requests=total(text, requests),
        writes=total(text, requests, lambda labels: labels["verb"] != "GET"),
        reconciles=total(
            text, "tradingbot_operator_reconciles_total", lambda labels: labels["queue"] == "bot"
        ),
        pending=total(text, "tradingbot_operator_queue_depth"),
    )


def _peers(text: str) -> Counts:
    requests = "rest_client_requests_total"
    return Counts(
        requests=total(text, requests),
        writes=total(text, requests, lambda labels: labels["method"] != "GET"),
        reconciles=total(text, "controller_runtime_reconcile_total"),
        pending=total(text, "workqueue_depth") + total(text, "controller_runtime_active_workers"),
    )


_COUNTS: dict[ServerName, Callable[[str], Counts]] = {"tradingbot": _ours, "go": _peers}
