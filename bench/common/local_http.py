"""Servers on ports of this machine: start them, and wait for them."""

import http.client
import json
import socket
import subprocess
import time

_START_SECONDS = 60


def free_port() -> int:
    """Return a port of the loopback that nothing listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def wait_for(port: int, path: str, server: subprocess.Popen[bytes]) -> None:
    """Wait until a server answers with 200. Raises RuntimeError if it ends, or after a minute."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            get(port, path)
        except (OSError, http.client.HTTPException, ValueError):
            time.sleep(0.02)
        else:
            return
    raise RuntimeError(f"{server.args!r} did not start")


def get(port: int, path: str) -> dict[str, str]:
    """Return the JSON of an answer with 200. Raises ValueError for another one."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
        if response.status != http.client.OK:
            raise ValueError(f"{path}: answered {response.status}")
        answer: dict[str, str] = json.loads(body) if body.startswith(b"{") else {}
        return answer
    finally:
        connection.close()
