"""nautilus_trader trades on a simulated Binance with its own adapter and an Ed25519 key."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import nautilus_node
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from served import Served, serve

pytestmark = nautilus_node.needs_nautilus

KEY = "nautilus-key-of-tests-1"


@pytest.fixture(scope="module")
def secret() -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.generate()


@pytest.fixture
def exchange(secret: ed25519.Ed25519PrivateKey, tmp_path: Path) -> Iterator[Served]:
    public = secret.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    keys = [{"name": KEY, "public_key": public.decode()}]
    with serve("binance", tmp_path, keys=keys, balances="USDT=10000") as served:
        yield served


def play(
    word: str, exchange: Served, secret: ed25519.Ed25519PrivateKey, here: Path
) -> dict[str, list[dict[str, Any]]]:
    """Run the node with a script, and return what it saw, by event."""
    pem = secret.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return nautilus_node.play(word, exchange, here, key=KEY, secret=pem.decode())


def test_orders_are_placed_filled_canceled_and_known_after_a_restart(
    exchange: Served, secret: ed25519.Ed25519PrivateKey, tmp_path: Path
) -> None:
    seen = play("trade", exchange, secret, tmp_path)
    assert Decimal(seen["quote"][0]["bid"]) < Decimal(seen["quote"][0]["ask"])
    resting, canceled = seen["accepted"][0]["order"], seen["canceled"][0]["order"]
    assert resting != canceled
    bought = exchange.fills("BUY")
    assert [(Decimal(fill["quantity"]), Decimal(fill["price"])) for fill in bought] == [
        (Decimal(fill["quantity"]), Decimal(fill["price"])) for fill in seen["filled"]
    ]
    assert exchange.statement()["openOrders"] == 1

    again = play("resume", exchange, secret, tmp_path)
    assert [each["order"] for each in again["known"]] == [resting]
    assert [each["order"] for each in again["canceled"]] == [resting]
    assert exchange.statement()["openOrders"] == 0


def test_a_refused_order_is_rejected_with_the_words_of_the_exchange(
    exchange: Served, secret: ed25519.Ed25519PrivateKey, tmp_path: Path
) -> None:
    exchange.add_fault(type="reject", match="POST /api/v3/order")
    seen = play("reject", exchange, secret, tmp_path)
    assert "Account has insufficient balance" in seen["rejected"][0]["reason"]
    assert exchange.fills("BUY") == []
