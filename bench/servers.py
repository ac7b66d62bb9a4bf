"""The two servers: this project's and the Go peer, started alike, watched through /proc."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tradingbot_dev.ports import Ports
from tradingbot_dev.system import tradingbot_path

from bench.reviews import Endpoint

ServerName = Literal["tradingbot", "go"]
NAMES: tuple[ServerName, ...] = ("tradingbot", "go")
_TICK = 1 / os.sysconf("SC_CLK_TCK")
_PATHS = {
    kind: {end: f"/{end}-trading-io-v1-{kind.lower()}" for end in ("mutate", "validate")}
    for kind in ("TradingBot", "AssetRegistry")
}


@dataclass(frozen=True)
class Usage:
    """What a process and its children have used so far."""

    cpu_seconds: float
    peak_rss_mb: float
    pss_mb: float
    processes: int


@dataclass(frozen=True)
class Server:
    """A running server."""

    name: ServerName
    process: subprocess.Popen[bytes]
    port: int

    def path(self, kind: str, endpoint: Endpoint) -> str:
        """Where reviews are sent. The peer has a path for each kind, as kubebuilder scaffolds."""
        return f"/{endpoint}" if self.name == "tradingbot" else _PATHS[kind][endpoint]

    def usage(self) -> Usage:
        """From /proc, of the whole process tree."""
        return usage_of(self.process.pid)


@dataclass(frozen=True)
class Cores:
    """Which core the servers share, and which one the load generator has."""

    server: int
    load: int

    @classmethod
    def choose(cls) -> "Cores":
        usable = sorted(os.sched_getaffinity(0))
        return cls(server=usable[0], load=usable[-1])


def make_certificates(folder: Path) -> None:
    """A CA and a serving certificate, made as in any cluster. Both servers use the same files."""
    subprocess.run(
        [
            *(tradingbot_path(), "certs", "--once", f"--cert-dir={folder}"),
            "--cert-names=127.0.0.1,localhost",
        ],
        check=True,
        capture_output=True,
    )


@contextmanager
def running(
    name: ServerName, *, webhook: Path, certificates: Path, logs: Path, core: int | None
) -> Iterator[Server]:
    """A server, ready; on one `core`, with GOMAXPROCS=1 for the peer, or wherever it likes."""
    ports = Ports.free()
    port = ports.webhooks
    environment: dict[str, str] = dict(os.environ)
    if name == "go":
        command = [str(webhook), f"--port={port}", f"--cert-dir={certificates}"]
        if core is not None:
            environment["GOMAXPROCS"] = "1"
    else:
        command = [
            *(tradingbot_path(), "webhooks", f"--port={port}", f"--cert-dir={certificates}"),
            *(f"--health-port={ports.webhooks_health}", "--workers=1", "--no-secret-lookup"),
            *("--log-format=json", "--drain-delay=0"),
        ]
    with (logs / f"{name}.log").open("ab") as log:
        process = _start(command, environment, log.fileno(), core)
    try:
        _await_port(process, port, log=logs / f"{name}.log")
        yield Server(name, process, port)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _start(
    command: list[str], environment: Mapping[str, str], log: int, core: int | None
) -> subprocess.Popen[bytes]:
    launcher = [sys.executable, "-I", "-S", "-c", _PINNED, str(core)] if core is not None else []
    return subprocess.Popen(
        [*launcher, *command], env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL
    )


# Before the program is there, so that all of its threads are on that core.
_PINNED = (
    "import os, sys; os.sched_setaffinity(0, {int(sys.argv[1])});"
    " os.execv(sys.argv[2], sys.argv[2:])"
)


def pinned(core: int, command: list[str]) -> list[str]:
    """`command` on one core."""
    return [sys.executable, "-I", "-S", "-c", _PINNED, str(core), *command]


def _await_port(process: subprocess.Popen[bytes], port: int, *, log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError(f"a server did not start: {log.read_text(errors='replace')[-2000:]}")


def usage_of(pid: int) -> Usage:
    """From /proc, of a process and all that it has started."""
    tree = list(_tree(pid))
    return Usage(
        cpu_seconds=sum(_cpu_seconds(pid) for pid in tree),
        peak_rss_mb=sum(_kilobytes(pid, "status", "VmHWM") for pid in tree) / 1024,
        pss_mb=sum(_kilobytes(pid, "smaps_rollup", "Pss") for pid in tree) / 1024,
        processes=len(tree),
    )


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield from _tree(int(child))


def _cpu_seconds(pid: int) -> float:
    """User and system time of a process and of the children that it has waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15]) * _TICK


def _kilobytes(pid: int, file: str, name: str) -> int:
    for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    return 0
