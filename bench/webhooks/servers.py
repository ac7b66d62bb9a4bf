"""Run the server of this project or the Go peer in the same way, and read its usage."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tradingbot_dev.control_plane.ports import Ports
from tradingbot_dev.product.system import tradingbot_path

from bench.common.processes import ServerName, Usage, pinned, usage_of
from bench.webhooks.reviews import Endpoint

_PATHS = {
    kind: {end: f"/{end}-trading-io-v1-{kind.lower()}" for end in ("mutate", "validate")}
    for kind in ("TradingBot", "AssetRegistry")
}


@dataclass(frozen=True)
class Server:
    """A running server."""

    name: ServerName
    process: subprocess.Popen[bytes]
    port: int

    def path(self, kind: str, endpoint: Endpoint) -> str:
        """Return the path for reviews. The peer has one for each kind, as kubebuilder scaffolds."""
        return f"/{endpoint}" if self.name == "tradingbot" else _PATHS[kind][endpoint]

    def usage(self) -> Usage:
        """Return the usage of the process tree, from /proc."""
        return usage_of(self.process.pid)


def make_certificates(directory: Path) -> None:
    """Create a CA and a serving certificate as in any cluster. Both servers use these files."""
    subprocess.run(
        [
            *(tradingbot_path(), "certs", "--once", f"--cert-dir={directory}"),
            "--cert-names=127.0.0.1,localhost",
        ],
        check=True,
        capture_output=True,
    )


@contextmanager
def running(
    name: ServerName, *, webhook: Path, certificates: Path, logs: Path, core: int | None
) -> Iterator[Server]:
    """Run a server until it is ready, on one `core` (the peer with GOMAXPROCS=1) or unpinned."""
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
            f"--health-port={ports.webhooks_health}",
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
    return subprocess.Popen(
        command if core is None else pinned(core, command),
        env=environment,
        stdout=log,
        stderr=log,
        stdin=subprocess.DEVNULL,
    )


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
