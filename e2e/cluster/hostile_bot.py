"""A bot that tries everything against its gateway, its pod and the exchange.

It writes a line of JSON for each attack, `{"attack": NAME, ...}`. Then it waits for the file GO
and trades until it is killed: SIGTERM does not end it. As a process of the machine, beside a
gateway by hand, it leaves out what it would do to the machine.
"""

import json
import os
import signal
import socket
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hostile_orders as orders
import hostile_pod as pod
from hostile_wire import Wire, signed_frame

CONNECTIONS = int(os.environ.get("HOSTILE_CONNECTIONS", "2000"))
SECONDS = float(os.environ.get("HOSTILE_SECONDS", "2"))
"""Of each flood."""
PORTS = tuple(map(int, os.environ.get("HOSTILE_PORTS", "8080,8081,8082").split(",")))
"""The gateway's: of reports, of the bot, of the preStop hook."""
CONTROL_PORT = 8071
GO = Path(os.environ.get("HOSTILE_GO", "/tmp/go"))
"""The bot is quiet between its attacks and the end until this file exists."""
THREADS = 24

Attack = Callable[[], Any]


def main() -> None:
    told = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: told.set())
    url = urllib.parse.urlsplit(os.environ["EXCHANGE_BASE_URL"])
    key, secret = os.environ["EXCHANGE_API_KEY"], os.environ["EXCHANGE_API_SECRET"]
    gateway = Wire(url.hostname or "", url.port or 80, key, secret)
    price = float(gateway.send("GET", "/api/v3/ticker/price?symbol=BTCUSDT").json()["price"])
    for name, attack in attacks(gateway, price):
        say(name, attack)
    print(json.dumps({"attack": "all"}), flush=True)
    while not GO.exists():
        time.sleep(0.1)
    for line in orders.churn(gateway, told):
        print(json.dumps({"attack": "churn", **line}), flush=True)


def say(name: str, attack: Attack) -> None:
    """Carry out an attack. None may end the others."""
    try:
        found = attack()
    except Exception as error:
        found = {"error": repr(error)}
    print(json.dumps({"attack": name, **(found or {})}), flush=True)


def attacks(gateway: Wire, price: float) -> Iterator[tuple[str, Attack]]:
    """Yield all attacks by name, in an order in which each meets the gateway at its best."""
    wires = [gateway.other() for _ in range(THREADS)]
    exchange = urllib.parse.urlsplit(exchange_url())
    # Those in the pod would kill and overwrite what they find: in a container, that is nothing.
    if os.getpid() == 1:
        address = socket.gethostbyname(socket.gethostname())
        yield "read", pod.read_everything
        yield "write", pod.write_everywhere
        yield "processes", pod.attack_processes
        yield "ports", lambda: pod.take_ports(PORTS, address)
        yield "others", lambda: pod.reach_others(exchange.hostname or "", CONTROL_PORT)
    yield "direct", lambda: past_the_gateway(gateway, exchange)
    yield "calls", lambda: {"tally": orders.unknown_calls(gateway)}
    yield "malformed", lambda: {"tally": orders.malformed(gateway)}
    yield "polluted", lambda: {"tally": orders.polluted(gateway)}
    yield "flood", lambda: {"tally": orders.flood(wires, price, seconds=SECONDS)}
    yield "split", lambda: {"tally": orders.split(wires, seconds=SECONDS)}
    yield "protection", lambda: orders.cancel_protection(gateway, seconds=SECONDS)
    yield "connections", lambda: orders.exhaust(gateway, PORTS, connections=CONNECTIONS)
    yield "reads", lambda: {"tally": orders.read_too_much(wires, seconds=SECONDS)}
    yield "after", lambda: {"account": gateway.call("GET", "/api/v3/account").word}


def exchange_url() -> str:
    """Return the exchange's own address, which bot.json has."""
    file = Path(os.environ.get("HOSTILE_CONFIG", "/etc/tradingbot/bot.json"))
    return str(json.loads(file.read_text())["exchange"]["baseURL"])


def past_the_gateway(gateway: Wire, exchange: urllib.parse.SplitResult) -> dict[str, Any]:
    """Trade at the exchange itself, by name and by address, with what the bot has of keys."""
    name, secure = exchange.hostname or "", exchange.scheme == "https"
    port = exchange.port or (443 if secure else 80)
    found: dict[str, Any] = {}
    for host in dict.fromkeys((name, socket.gethostbyname(name))):
        wire = Wire(host, port, gateway.key, gateway.secret, secure)
        found[host] = {
            "ping": wire.send("GET", "/api/v3/ping").word,
            "placeholder": wire.order(quantity="0.5").word,
            "no key": Wire(host, port, "", "", secure).order(quantity="0.5").word,
            "account": wire.call("GET", "/api/v3/account").word,
        }
        with wire.websocket() as sock:
            found[host]["logon"] = sock.ask("session.logon", signed_frame(wire)).word
            place = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.5"}
            found[host]["order.place"] = sock.ask("order.place", signed_frame(wire, **place)).word
    return {"exchange": found}


if __name__ == "__main__":
    sys.exit(main())
