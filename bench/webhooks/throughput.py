"""Measure reviews per second and CPU per review, of both servers in turn on the same core."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.common.processes import NAMES, Cores, ServerName, pinned
from bench.common.series import Measured, Say, Series
from bench.webhooks.peer import GoPrograms
from bench.webhooks.reviews import ENDPOINTS, WORKLOADS, Endpoint, Workload
from bench.webhooks.servers import Server

CONNECTIONS = 8


@dataclass(frozen=True)
class Plan:
    """The number and length of the rounds."""

    rounds: int
    seconds: float
    open_loop_seconds: float


FULL = Plan(rounds=5, seconds=1.5, open_loop_seconds=1.5)
QUICK = Plan(rounds=2, seconds=1.0, open_loop_seconds=1.0)


class BadAnswersError(RuntimeError):
    """Raised when a server denied a valid object or did not answer with 200."""


Key = tuple[str, Endpoint, ServerName]


@dataclass(frozen=True)
class Load:
    """The load generator, on its own core."""

    program: Path
    ca: Path
    core: int
    directory: Path

    def bodies(self, workload: Workload, endpoint: Endpoint) -> Path:
        """Return a file with the reviews."""
        path = self.directory / f"{workload.name}-{endpoint}.jsonl"
        if not path.exists():
            path.write_bytes(b"\n".join(workload.bodies(endpoint)) + b"\n")
        return path

    def run(
        self, server: Server, workload: Workload, endpoint: Endpoint, *, seconds: float, rate: float
    ) -> dict[str, Any]:
        """Run the load once. Raises BadAnswersError unless every answer was right."""
        command = [
            str(self.program),
            f"-address=127.0.0.1:{server.port}",
            f"-path={server.path(workload.kind, endpoint)}",
            f"-ca={self.ca}",
            f"-bodies={self.bodies(workload, endpoint)}",
            f"-connections={CONNECTIONS}",
            f"-duration={seconds}s",
            f"-rate={rate}",
        ]
        done = subprocess.run(
            pinned(self.core, command), capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise BadAnswersError(f"{server.name}, {workload.title}: {done.stderr.strip()}")
        seen: dict[str, Any] = json.loads(done.stdout)
        if seen["not_200"] or seen["wrong_verdicts"]:
            raise BadAnswersError(
                f"{server.name}, {workload.title}, {endpoint}: of {seen['count']} answers"
                f" {seen['not_200']} were not 200 and {seen['wrong_verdicts']} denied valid objects"
            )
        return seen


def measure(
    servers: dict[ServerName, Server], load: Load, plan: Plan, say: Say, done: Say
) -> dict[Key, Measured]:
    """Measure all workloads on both endpoints. The servers take turns within each round.

    First the peak of each server, then its latencies at half of that peak. `done` is called with
    the name of each finished workload.
    """
    results: dict[Key, Measured] = {}
    for workload in WORKLOADS:
        for endpoint in ENDPOINTS:
            say(f"{workload.title}, {endpoint}")
            keys = {name: (workload.name, endpoint, name) for name in NAMES}
            for name in NAMES:
                results[keys[name]] = {}
                load.run(servers[name], workload, endpoint, seconds=plan.seconds / 2, rate=0)
            for _ in range(plan.rounds):
                for name in NAMES:
                    run = _Run(servers[name], load, workload, endpoint, results[keys[name]])
                    run.peak(plan.seconds)
            for _ in range(plan.rounds):
                for name in NAMES:
                    run = _Run(servers[name], load, workload, endpoint, results[keys[name]])
                    run.half_of_peak(plan.open_loop_seconds)
        done(workload.name)
    return results


@dataclass(frozen=True)
class _Run:
    """One server under one load, and the measurements to add to."""

    server: Server
    load: Load
    workload: Workload
    endpoint: Endpoint
    into: Measured

    def peak(self, seconds: float) -> None:
        """Measure as fast as the server answers."""
        seen, cpu = self._go(seconds, rate=0)
        _add(
            self.into,
            reviews_per_second=seen["per_second"],
            cpu_us_per_review=cpu / seen["count"] * 1e6,
            reviews_per_cpu_second=seen["count"] / cpu,
            server_core_use=cpu / seen["seconds"],
            client_core_use=seen["client_cpu_seconds"] / seen["seconds"],
        )

    def half_of_peak(self, seconds: float) -> None:
        """Measure at a fixed rate: half of the server's peak."""
        seen, cpu = self._go(seconds, rate=self.into["reviews_per_second"].median / 2)
        _add(
            self.into,
            half_peak_per_second=seen["per_second"],
            half_peak_p50_us=seen["p50_us"],
            half_peak_p99_us=seen["p99_us"],
            half_peak_max_us=seen["max_us"],
            half_peak_cpu_us_per_review=cpu / seen["count"] * 1e6,
        )

    def _go(self, seconds: float, *, rate: float) -> tuple[dict[str, Any], float]:
        before = self.server.usage().cpu_seconds
        seen = self.load.run(self.server, self.workload, self.endpoint, seconds=seconds, rate=rate)
        return seen, self.server.usage().cpu_seconds - before


def _add(into: Measured, **values: float) -> None:
    for name, value in values.items():
        into.setdefault(name, Series()).values.append(value)


def make_load(programs: GoPrograms, *, certificates: Path, cores: Cores, directory: Path) -> Load:
    """Return the load generator, which trusts the CA of the servers."""
    return Load(programs.load, certificates / "ca.crt", cores.load, directory)
