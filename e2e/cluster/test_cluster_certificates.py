"""cert-manager renews the webhooks' certificate, and nobody notices."""

import base64
import json
import ssl

from installation import Installation, restarts
from load import Load
from person import eventually
from reads import read_object
from tradingbot_dev.control_plane.plane import SYSTEM_NAMESPACE

CERTIFICATE = "tradingbot-webhook-tls"


def stored(product: Installation) -> bytes:
    """The serving certificate (DER) in its Secret. LookupError while there is none."""
    secret = read_object(product.node.plane, SYSTEM_NAMESPACE, "secret", CERTIFICATE) or {}
    return ssl.PEM_cert_to_DER_cert(base64.b64decode(secret["data"]["tls.crt"]).decode())


def await_served(product: Installation, certificate: bytes) -> None:
    """Until each of the webhooks' pods shows it."""
    eventually(
        lambda: all(
            product.served_certificate(pod) == certificate for pod in product.pods("webhooks")
        ),
    )


def test_a_renewed_certificate_is_served_without_a_restart_and_no_review_is_lost(
    product: Installation,
) -> None:
    before, pods = stored(product), restarts(product.pods("webhooks"))
    await_served(product, before)
    with Load(product.node.plane).running() as load:
        ask_for_renewal(product)
        eventually(lambda: stored(product) != before)
        await_served(product, stored(product))
    assert load.failures == []
    assert load.admitted > 0
    assert restarts(product.pods("webhooks")) == pods


def ask_for_renewal(product: Installation) -> None:
    """What `cmctl renew` does."""
    issuing = {
        "type": "Issuing",
        "status": "True",
        "reason": "ManuallyTriggered",
        "message": "asked for by a test",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    product.node.kubectl(
        *("-n", SYSTEM_NAMESPACE, "patch", "certificate", CERTIFICATE),
        *("--subresource=status", "--type=json"),
        *("-p", json.dumps([{"op": "add", "path": "/status/conditions/-", "value": issuing}])),
        check=True,
    )


def test_a_deleted_certificate_comes_back_and_is_served(product: Installation) -> None:
    before, pods = stored(product), restarts(product.pods("webhooks"))
    with Load(product.node.plane).running() as load:
        product.node.kubectl(*("-n", SYSTEM_NAMESPACE, "delete", "secret", CERTIFICATE), check=True)
        eventually(lambda: stored(product) != before)
        await_served(product, stored(product))
    assert load.failures == []
    assert restarts(product.pods("webhooks")) == pods
