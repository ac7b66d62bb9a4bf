"""What is around the node's cluster: `outside_servers`, in the node's network namespace."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from person import Object
from tradingbot_certs.authority import (
    Names,
    certificate_pem,
    issue_authority,
    issue_serving,
    key_pem,
)
from tradingbot_node.host.netns import ENTER
from tradingbot_node.host.places import NODE_IP

# containerd takes any certificate of a registry on loopback, and pods do not reach it there.
REGISTRY = ("127.0.0.1", 5000)
EXCHANGE = ("127.0.0.1", 8443)
PROXY = (NODE_IP, 3128)
EXCHANGE_HOST = "exchange.example"
EXCHANGE_URL = f"https://{EXCHANGE_HOST}"
PROXY_URL = f"http://{PROXY[0]}:{PROXY[1]}"
REGISTRY_NAME = f"{REGISTRY[0]}:{REGISTRY[1]}"
USER, PASSWORD = "desk", "not-a-real-password"


@dataclass(frozen=True)
class Outside:
    """The servers' log, and the certificate of the exchange's private CA."""

    log: Path
    authority: str

    def asked(self, server: str) -> list[Object]:
        """Return what a server was asked, oldest first."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [seen for line in lines if (seen := json.loads(line))["server"] == server]


@contextmanager
def outside(directory: Path, *, image: Path) -> Iterator[Outside]:
    """Run the servers. The registry has the image of an archive."""
    now = datetime.now(UTC)
    authority = issue_authority(now)
    serving = issue_serving(authority=authority, names=Names((EXCHANGE_HOST,)), now=now)
    certificate, key = directory / "exchange.crt", directory / "exchange.key"
    certificate.write_bytes(certificate_pem(serving.certificate))
    key.write_bytes(key_pem(serving.key))
    settings = {
        "log": str(directory / "log"),
        "registry": {
            "address": REGISTRY,
            "archive": str(image),
            "user": USER,
            "password": PASSWORD,
        },
        "exchange": {"address": EXCHANGE},
        "tls": {"certificate": str(certificate), "key": str(key)},
        "proxy": {"address": PROXY, "hosts": {f"{EXCHANGE_HOST}:443": EXCHANGE}},
    }
    file = directory / "settings.json"
    file.write_text(json.dumps(settings))
    script = Path(__file__).with_name("outside_servers.py")
    process = subprocess.Popen(
        [*ENTER, sys.executable, str(script), str(file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield Outside(directory / "log", certificate_pem(authority.certificate).decode())
    finally:
        process.kill()
        process.communicate()
