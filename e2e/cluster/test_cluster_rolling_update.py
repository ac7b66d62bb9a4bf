"""The webhooks are replaced under load, and no request fails."""

from installation import WEBHOOKS, Installation, restarts
from load import Load
from tradingbot_dev.control_plane.plane import SYSTEM_NAMESPACE


def test_no_review_is_lost_while_the_webhooks_are_replaced(product: Installation) -> None:
    before = restarts(product.pods("webhooks"))
    with Load(product.node.plane).running() as load:
        for command in (("restart",), ("status", "--timeout=2m")):
            what = f"deployment/{WEBHOOKS}"
            product.node.kubectl("-n", SYSTEM_NAMESPACE, "rollout", *command, what, check=True)
    after = restarts(product.pods("webhooks"))
    assert load.failures == []
    assert load.admitted > 100
    assert len(after) == 2
    assert not set(after) & set(before)
