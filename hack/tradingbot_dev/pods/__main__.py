"""Run the pods of our own images on the simulated node, until SIGTERM. The processes stay then."""

import argparse
import asyncio
import logging
import signal
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from tradingbot_dev.pods.agent import Agent, serve
from tradingbot_dev.pods.apiserver import Credentials, connected
from tradingbot_dev.pods.containers import State
from tradingbot_dev.pods.worker import Node


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m tradingbot_dev.pods", description=__doc__)
    parser.add_argument("--state", type=Path, required=True, help="directory of the state")
    parser.add_argument("--node", required=True, help="name of the node")
    parser.add_argument("--server", required=True, help="URL of the API server")
    parser.add_argument("--port", type=int, required=True, help="port of the kubelet's API")
    for name, what in (("ca", "CA"), ("certificate", "certificate"), ("key", "private key")):
        parser.add_argument(f"--{name}", type=Path, required=True, help=f"file of the {what}")
    parser.add_argument("--serving-certificate", type=Path, required=True, help="for the API")
    parser.add_argument("--serving-key", type=Path, required=True, help="for the API")
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr
    )
    with suppress(asyncio.CancelledError):
        asyncio.run(run(parser.parse_args(arguments)))


async def run(options: argparse.Namespace) -> None:
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    server = urlsplit(options.server)
    port = str(server.port)
    surroundings = {
        "KUBERNETES_SERVICE_HOST": str(server.hostname),
        "KUBERNETES_SERVICE_PORT": port,
        "KUBERNETES_SERVICE_PORT_HTTPS": port,
    }
    credentials = Credentials(options.server, options.ca, options.certificate, options.key)
    async with connected(credentials) as api:
        node = Node(api, State(options.state), lambda: datetime.now(UTC), surroundings)
        await serve(
            Agent(node, name=options.node),
            port=options.port,
            ca=options.ca,
            certificate=options.serving_certificate,
            key=options.serving_key,
        )


if __name__ == "__main__":
    main(sys.argv[1:])
