"""A simulated Binance in a pod for a bot in mode Live: one account, TLS, a market that is known."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from person import Object, Person
from pod_demo import (
    CONTROL_PORT,
    MINUTES,
    candles,
    create_secrets,
    market_files,
    on_its_market,
    rendered,
)
from port_forward import forwarded
from tradingbot_certs.authority import (
    Names,
    certificate_pem,
    issue_authority,
    issue_serving,
    key_pem,
)
from tradingbot_dev.product.exchanges import SimulatedExchange
from tradingbot_node.cluster import Node

NAME, PORT = "binance", 8070
TLS, AUTHORITY = "binance-tls", "binance-ca"


def reached_by(bot: str) -> Object:
    """The `spec.exchange` of a bot of this name on its exchange."""
    return {
        "name": "Binance",
        "apiKeySecret": f"{bot}-keys",
        "baseURL": f"https://{NAME}:{PORT}",
        "caBundle": {"name": AUTHORITY},
    }


@contextmanager
def live_exchange(
    person: Person,
    node: Node,
    directory: Path,
    account: str,
    *,
    fall: Decimal = Decimal(0),
    minutes: int = MINUTES,
) -> Iterator[SimulatedExchange]:
    """Run the exchange with one account, whose Secret is `ACCOUNT-keys`.

    `fall`: a part of the first prices, each minute. Half of the `minutes` are of the past.
    """
    chosen = [one for one in rendered() if one["metadata"]["name"] == NAME]
    deployment = on_its_market(
        next(one for one in chosen if one["kind"] == "Deployment"), start=minutes // 2
    )
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    kept = [each for each in container["args"] if not each.startswith("--account=")]
    files = ("--tls-cert=/tls/tls.crt", "--tls-key=/tls/tls.key")
    container["args"] = [*kept, f"--account={account}", *files]
    container["volumeMounts"].append({"name": TLS, "mountPath": "/tls"})
    pod["volumes"].append({"name": TLS, "secret": {"secretName": TLS}})
    market = candles("USDT", fall, minutes)
    person.applied(market_files({f"{NAME}.csv": market}), *_certificate(), *chosen)
    waited = person.kubectl("rollout", "status", f"deploy/{NAME}", "--timeout=3m")
    assert waited.returncode == 0, waited.stderr
    create_secrets(person, NAME)
    with forwarded(node, person.namespace, f"deploy/{NAME}", CONTROL_PORT) as port:
        yield SimulatedExchange(NAME, (account,), "USDT", 0, port, directory)


def account_key(person: Person, account: str) -> tuple[str, str]:
    """Return the account's real key and secret, which the bot must not find."""
    shown = person.kubectl(
        *("get", "secret", f"{account}-keys", "-o"),
        'go-template={{index .data "api-key" | base64decode}} '
        '{{index .data "api-secret" | base64decode}}',
    )
    key, secret = shown.stdout.split()
    return key, secret


def _certificate() -> tuple[Object, Object]:
    """The Secret of the exchange, and the ConfigMap with the authority that has signed it."""
    now = datetime.now(UTC)
    authority = issue_authority(now)
    serving = issue_serving(authority=authority, names=Names((NAME,)), now=now)
    trusted = certificate_pem(authority.certificate).decode()
    pair = {
        "tls.crt": certificate_pem(serving.certificate).decode(),
        "tls.key": key_pem(serving.key).decode(),
    }
    meta = {"apiVersion": "v1"}
    return (
        {**meta, "kind": "Secret", "metadata": {"name": TLS}, "stringData": pair},
        {
            **meta,
            "kind": "ConfigMap",
            "metadata": {"name": AUTHORITY},
            "data": {"ca.crt": trusted},
        },
    )
