"""The demo in pods: `config/samples/demo-cluster`, on markets that move when a test moves them.

So each run sees the same prices, and figures can be compared to the last digit.
"""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import yaml
from person import Object, Person, eventually
from port_forward import forwarded
from tradingbot_cli.orders.entries import Entry, parse
from tradingbot_dev.control_plane.plane import kubectl_path
from tradingbot_dev.product.exchanges import SimulatedExchange
from tradingbot_node.cluster import Node

DEMO = Path(__file__).parents[2] / "config" / "samples" / "demo-cluster"
ARBITRAGE, CARELESS, MAKER = "arbitrage", "careless", "market-maker"
FOLLOWER = "trend-follower"
CONTROL_PORT = 8071
_MARKETS = "markets"
# Half an hour of the past, and half an hour to come.
MINUTES = 60
_FIRST = datetime(2026, 1, 1, tzinfo=UTC)
_MONEY = {"binance": "USDT", "coinbase": "USD"}
# A part of the prices, each minute. So the trend at Coinbase is downwards until a test turns it.
_FALL = {"binance": 0, "coinbase": Decimal("0.001")}


@dataclass(frozen=True)
class PodDemo:
    """The two exchanges, reached through `kubectl port-forward`, and somebody's namespace."""

    person: Person
    binance: SimulatedExchange
    coinbase: SimulatedExchange

    def apply(self, *names: str, **spec: object) -> None:
        """Apply bots of the demo, with fields of the spec added."""
        bots = [bot for bot in rendered() if bot["kind"] == "TradingBot"]
        chosen = [bot for bot in bots if bot["metadata"]["name"] in names]
        self.person.applied(*({**bot, "spec": {**bot["spec"], **spec}} for bot in chosen))

    def risk(self, name: str) -> Object:
        """The block `risk` of a bot's status."""
        bot = self.person.get("tradingbot", name) or {}
        return dict(bot.get("status", {}).get("risk", {}))

    def day_pnl(self, name: str) -> Decimal:
        return Decimal(self.risk(name).get("dayPnL", "0"))

    def phase(self, name: str) -> str | None:
        """Return the phase of a bot, None if there is none."""
        bot = self.person.get("tradingbot", name) or {}
        phase: str | None = bot.get("status", {}).get("phase")
        return phase

    def decisions(self, name: str) -> list[Entry]:
        """What the gateway of a bot has decided, all of it."""
        done = self.person.kubectl("logs", f"deploy/{name}", "-c", "gateway")
        assert done.returncode == 0, f"{name} is {self.phase(name)}: {done.stderr}"
        lines = done.stdout.splitlines()
        return [entry for line in lines if (entry := parse(line.encode())) is not None]

    def bids(self) -> dict[str, Decimal]:
        """The prices in USDT at which something can be sold at Binance, by asset."""
        prices = self.binance.market()["symbols"]
        return {asset: Decimal(prices[f"{asset}-USDT"]["bid"]) for asset in ("BTC", "ETH")}


def rendered() -> list[Object]:
    """The objects of the kustomization, as `kubectl apply -k` applies them."""
    done = subprocess.run(
        [kubectl_path(), "kustomize", str(DEMO)], capture_output=True, text=True, check=True
    )
    return list(yaml.safe_load_all(done.stdout))


@contextmanager
def exchanges(person: Person, node: Node, directory: Path) -> Iterator[PodDemo]:
    """Run the exchanges, create the bots' Secrets as docs/demo.md does, and yield; no bot yet."""
    person.applied(_markets(), *map(on_its_market, filter(_is_no_bot, rendered())))
    with ExitStack() as stack:
        found = []
        for dialect, accounts in (
            ("binance", (ARBITRAGE, CARELESS, MAKER)),
            ("coinbase", (FOLLOWER,)),
        ):
            waited = person.kubectl("rollout", "status", f"deploy/{dialect}", "--timeout=3m")
            assert waited.returncode == 0, waited.stderr
            create_secrets(person, dialect)
            port = stack.enter_context(
                forwarded(node, person.namespace, f"deploy/{dialect}", CONTROL_PORT)
            )
            found.append(SimulatedExchange(dialect, accounts, _MONEY[dialect], 0, port, directory))
        binance, coinbase = found
        yield PodDemo(person, binance, coinbase)


def fall_at_once(exchange: SimulatedExchange, percent: str) -> None:
    """Let prices fall from one moment to the next, so that no report is made halfway.

    A crash takes a second at least. The market stands still meanwhile, as in a halt of trading.
    """
    halt = exchange.begin({"type": "halt"})
    crash = exchange.begin({"type": "crash", "percent": percent, "over": "1s"})
    eventually(lambda: exchange.market()["time"] > crash["started"] + 1000)
    exchange.end(halt["id"])


def profit(statement: Object, money: str) -> Decimal:
    """By the exchange's account, in this currency."""
    kinds = ("realizedPnL", "unrealizedPnL")
    return sum((Decimal(statement[kind].get(money, "0")) for kind in kinds), Decimal(0))


def _is_no_bot(one: Object) -> bool:
    return bool(one["kind"] != "TradingBot")


def on_its_market(one: Object, *, start: int = MINUTES // 2) -> Object:
    """An exchange's Deployment with the file of its market, any other object as it is."""
    if one["kind"] == "Deployment":
        pod = one["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        file = f"/{_MARKETS}/{one['metadata']['name']}.csv"
        container["args"] += [f"--market={file}", f"--market-start={_time(start)}"]
        container["volumeMounts"].append({"name": _MARKETS, "mountPath": f"/{_MARKETS}"})
        pod["volumes"].append({"name": _MARKETS, "configMap": {"name": _MARKETS}})
    return one


def _markets() -> Object:
    """The ConfigMap with the file of each market."""
    return market_files(
        {f"{name}.csv": candles(money, _FALL[name], MINUTES) for name, money in _MONEY.items()}
    )


def market_files(data: dict[str, str]) -> Object:
    metadata = {"name": _MARKETS}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def candles(money: str, fall: Decimal | int, minutes: int) -> str:
    lines = ["time,symbol,open,high,low,close,volume"]
    for minute in range(minutes):
        for symbol, price in ((f"BTC-{money}", 60000), (f"ETH-{money}", 3000)):
            first, last = (price * (1 - fall * number) for number in (minute, minute + 1))
            high, low = max(first, last), min(first, last)
            lines.append(f"{_time(minute)},{symbol},{first},{high},{low},{last},0")
        lines.append(f"{_time(minute)},ETH-BTC,0.05,0.05,0.05,0.05,0")
    return "\n".join(lines)


def _time(minute: int) -> str:
    return f"{_FIRST + timedelta(minutes=minute):%Y-%m-%dT%H:%M:%SZ}"


def create_secrets(person: Person, dialect: str) -> None:
    script = (DEMO / "secrets.py").read_text()
    printed = person.kubectl("exec", "-i", f"deploy/{dialect}", "--", "python", "-", stdin=script)
    assert printed.returncode == 0, printed.stderr
    done = person.kubectl("apply", "--server-side", "-f", "-", stdin=printed.stdout)
    assert done.returncode == 0, done.stderr
