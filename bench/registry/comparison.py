"""The registry and its peers under the same load, in turns on the same core."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from bench.common.series import Measured, Say, Series, quantile
from bench.registry import workload
from bench.registry.load import send
from bench.registry.servers import Server, ServerName

CLIENTS = 8

Requests = Callable[[int], Iterator[bytes]]

OPERATIONS: Mapping[str, tuple[Requests, int]] = {
    "get": (workload.reads, 200),
    "list": (workload.pages, 200),
    "create": (workload.creations, 201),
    "dependents": (workload.dependents, 200),
}
"""The requests of each operation, and the status of their answers."""

Compared = Mapping[str, Mapping[ServerName, Measured]]
"""By operation and server."""


@dataclass
class _Found:
    """What was measured of one server: latencies over all rounds, CPU time by round."""

    per_cpu_second: Series = field(default_factory=Series)
    p50: Series = field(default_factory=Series)
    p99: Series = field(default_factory=Series)
    all: list[float] = field(default_factory=list)

    def add(self, latencies: list[float], cpu_seconds: float) -> None:
        self.all += latencies
        # The kernel counts in hundredths of a second.
        self.per_cpu_second.values.append(len(latencies) / max(cpu_seconds, 0.01))
        for series, percent in ((self.p50, 50), (self.p99, 99)):
            series.values.append(quantile(latencies, percent))
            series.whole = quantile(self.all, percent)

    def measured(self) -> Measured:
        return {
            "requests_per_cpu_second": self.per_cpu_second,
            "p50_ms": self.p50,
            "p99_ms": self.p99,
        }


def compare(
    servers: Mapping[ServerName, Server], size: int, *, rounds: int, seconds: float, say: Say
) -> Compared:
    """Measure all operations of all servers, which change their order from round to round."""
    found = {operation: {name: _Found() for name in servers} for operation in OPERATIONS}
    names = list(servers)
    for number in range(-1, rounds):
        say(f"round {number + 1} of {rounds}" if number >= 0 else "all servers, to warm up")
        for operation, (requests, status) in OPERATIONS.items():
            for turn in range(len(names)):
                server = servers[names[(number + turn) % len(names)]]
                before = server.usage().cpu_seconds
                load = send(
                    server.port,
                    requests(size),
                    connections=CLIENTS,
                    seconds=seconds if number >= 0 else seconds / 4,
                    status=status,
                )
                if number >= 0:
                    used = server.usage().cpu_seconds - before
                    found[operation][names[(number + turn) % len(names)]].add(load.latencies, used)
    return {
        operation: {name: each.measured() for name, each in by_server.items()}
        for operation, by_server in found.items()
    }
