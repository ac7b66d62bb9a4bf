"""`tradingbot doctor` of an installation in pods: nothing to complain of, and no Secret read.

It sees the served certificate in a TLS handshake with each replica, through a port-forward.
"""

import json
import os
import subprocess
from typing import Any

from installation import Installation
from tradingbot_dev.processes.waiting import wait_until
from tradingbot_dev.product.system import tradingbot_path


def doctor(product: Installation) -> dict[str, dict[str, Any]]:
    """Its findings by check, as the administrator sees them."""
    done = subprocess.run(
        [tradingbot_path(), "doctor", "-o", "json"],
        env={**os.environ, "KUBECONFIG": str(product.node.kubeconfig)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return {one["check"]: one for one in json.loads(done.stdout)["findings"]}


def test_of_a_fresh_installation_nothing_but_what_an_old_cert_manager_does_is_told(
    product: Installation,
) -> None:
    """This cert-manager knows no matchConditions, and drops them as it writes the CA."""
    latest: dict[str, Any] = {}
    dropped = {"webhooks/tradingbot-mutating", "webhooks/tradingbot-validating"}

    def well() -> bool:
        latest.clear()
        latest.update(doctor(product))
        return {name for name, one in latest.items() if one["status"] != "ok"} == dropped

    wait_until(well, what="all well")
    for name in dropped:
        assert latest[name]["reason"] == "Different"
        assert "matchConditions" in latest[name]["message"]
    assert "cert-manager/tradingbot-webhook-tls" in latest
    assert "webhooks/service/tradingbot-webhooks" in latest
    # Each replica was asked: none of it comes out of the Secret.
    for pod in product.pods("webhooks"):
        assert f"pod {pod['metadata']['name']}" in latest["certificate/life"]["message"]


def test_webhooks_scaled_to_nothing_are_found(product: Installation) -> None:
    product.scale_webhooks(0)
    try:

        def are_missing() -> bool:
            found = doctor(product)
            service = found["webhooks/service/tradingbot-webhooks"]
            return (
                service["reason"] == "NoEndpoints"
                and found["admission/defaults"]["status"] == "failed"
            )

        wait_until(are_missing, what="the missing webhooks")
        findings = doctor(product)
        assert findings["deployment/tradingbot-webhooks"]["reason"] == "Stopped"
        # No server is left to ask: now the certificate in the Secret is checked.
        assert "the Secret tradingbot-webhook-tls" in findings["certificate/life"]["message"]
    finally:
        product.scale_webhooks(2)
