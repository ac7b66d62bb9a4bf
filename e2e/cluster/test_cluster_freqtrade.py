"""freqtrade, unchanged, in a pod: `config/samples/freqtrade.yaml` on a real node."""

from base64 import b64decode
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from zlib import crc32

import pytest
import yaml
from freqtrade_image import freqtrade_image
from installation import Installation
from live_exchange import live_exchange, reached_by
from namespaces import restricted_namespace
from person import Object, Person, eventually
from real_bots import await_condition
from tradingbot_dev.processes.waiting import STUCK_SECONDS
from tradingbot_dev.product.exchanges import SimulatedExchange

SAMPLE = Path(__file__).parents[2] / "config" / "samples" / "freqtrade.yaml"
BOT, IMAGE = "freqtrade", "freqtrade:2026.9"
RISE = Decimal("-0.0001")
"""So the last candle closes above the average of the strategy."""
MINUTES = 600
STAKE = Decimal(500)


@dataclass(frozen=True)
class Scene:
    person: Person
    exchange: SimulatedExchange

    def log(self) -> str:
        return self.person.kubectl("logs", f"deploy/{BOT}", "-c", "bot").stdout


@pytest.fixture(scope="module")
def scene(product: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    product.node.containerd.import_image(freqtrade_image())
    here = tmp_path_factory.mktemp("freqtrade")
    with ExitStack() as stack:
        person = stack.enter_context(restricted_namespace(product.node, f"t{crc32(b'freqtrade')}"))
        running = live_exchange(person, product.node, here, BOT, fall=RISE, minutes=MINUTES)
        exchange = stack.enter_context(running)
        person.applied(*map(as_tried, yaml.safe_load_all(SAMPLE.read_text())))
        yield Scene(person, exchange)


def as_tried(sample: Object) -> Object:
    """The sample on the simulated exchange. In Live, so that the exchange has the orders."""
    if sample["kind"] == "TradingBot":
        spec = sample["spec"]
        spec["strategy"]["image"] = IMAGE
        spec["exchange"] = reached_by(BOT)
        spec["mode"] = "Live"
    return sample


def test_it_enters_and_has_its_stop_at_the_exchange(scene: Scene) -> None:
    scene.person.await_phase(BOT, "Running", seconds=STUCK_SECONDS)
    fills = eventually(lambda: scene.exchange.statement(BOT)["fills"], seconds=STUCK_SECONDS)
    assert {fill["side"] for fill in fills} == {"BUY"}
    assert sum(Decimal(f["price"]) * Decimal(f["quantity"]) for f in fills) <= STAKE

    def its_stop() -> Object:
        """The only order that is left: the gateway's own has gone."""
        orders = scene.exchange.orders(BOT)
        assert len(orders) == 1
        order: Object = orders[0]
        assert order["stopPrice"]
        assert not order["clientId"].startswith("tbgw-")
        return order

    stop = eventually(its_stop, seconds=STUCK_SECONDS)
    held = Decimal(scene.exchange.statement(BOT)["symbols"]["BTC-USDT"]["position"])
    assert 0 <= held - Decimal(stop["quantity"]) < Decimal("0.0001")


def test_it_reports_through_its_gateway_and_has_no_key(scene: Scene) -> None:
    await_condition(scene.person, "RiskReported", "True", name=BOT)

    def has_reported() -> bool:
        bot = scene.person.get("tradingbot", BOT) or {}
        return bool(bot["status"]["risk"]["openPositions"] == 1)

    eventually(has_reported)
    log = scene.log()
    assert "state='RUNNING'" in log
    assert " - ERROR - " not in log
    secret = scene.person.get("secret", f"{BOT}-keys") or {}
    (pod,) = scene.person.items("pod", bot=BOT)
    shown = scene.person.kubectl("exec", pod["metadata"]["name"], "-c", "bot", "--", "env").stdout
    assert "FREQTRADE__EXCHANGE__KEY=tradingbot-gateway-placeholder" in shown
    assert b64decode(secret["data"]["api-key"]).decode() not in shown
