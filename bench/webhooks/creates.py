"""Measure what admission adds to a create through a real API server.

Four namespaces: without admission, with this server, with the Go peer, and with policies in CEL.
The creates take turns between them, one at a time over one kept connection, so that anything that
slows down the machine slows down all four.
"""

import base64
import copy
import http.client
import json
import ssl
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import yaml
from tradingbot_api.crds import crds
from tradingbot_dev.control_plane.pki import ADMIN
from tradingbot_dev.control_plane.plane import ControlPlane, temporary_control_plane
from tradingbot_dev.processes.waiting import wait_until
from tradingbot_dev.product.manifests import Manifests, text

from bench.common.sample import Json, sample_bot
from bench.common.series import Measured, Say, Series
from bench.webhooks.peer import GoPrograms
from bench.webhooks.reviews import ENDPOINTS, numbered
from bench.webhooks.servers import Server, running

VARIANTS = ("none", "tradingbot", "go", "cel")
POLICIES = Path(__file__).parents[1] / "policies.yaml"
_WEBHOOK_KINDS = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")


def measure_creates(
    programs: GoPrograms, *, certificates: Path, logs: Path, rounds: int, creates: int, say: Say
) -> dict[str, Measured]:
    """Return p50 and p99 of a create in milliseconds by variant, over all creates and by round."""
    results: dict[str, Measured] = {
        name: {"p50_ms": Series(), "p99_ms": Series()} for name in VARIANTS
    }
    times: dict[str, list[float]] = {name: [] for name in VARIANTS}
    with _prepared(programs, certificates, logs) as plane:
        for number in range(rounds):
            say(f"creates through the API server, round {number + 1} of {rounds}")
            _empty(plane)
            # One connection for each round: the API server may close an idle one between rounds.
            with closing(_connect(plane)) as connection:
                round_times = _round(connection, number, creates)
            for name, taken in round_times.items():
                times[name] += taken
                for quantile in ("p50_ms", "p99_ms"):
                    results[name][quantile].values.append(_quantile(taken, quantile))
    for name, quantiles in results.items():
        for quantile, series in quantiles.items():
            series.whole = _quantile(times[name], quantile)
    return results


def _quantile(seconds: list[float], quantile: str) -> float:
    """Return a quantile in milliseconds."""
    ordered = sorted(seconds)
    place = 0.5 if quantile == "p50_ms" else 0.99
    return ordered[int(place * (len(ordered) - 1))] * 1e3


@contextmanager
def _prepared(programs: GoPrograms, certificates: Path, logs: Path) -> Iterator[ControlPlane]:
    """Run a control plane with the CRDs, and both servers unpinned, until all variants work."""
    with (
        temporary_control_plane(audit=False) as plane,
        running(
            "tradingbot",
            webhook=programs.webhook,
            certificates=certificates,
            logs=logs,
            core=None,
        ) as ours,
        running(
            "go", webhook=programs.webhook, certificates=certificates, logs=logs, core=None
        ) as peer,
    ):
        plane.kubectl("apply", "--server-side", "-f", "-", stdin=text(crds()), check=True)
        plane.kubectl("apply", "-f", "-", stdin=text(_namespaces()), check=True)
        wait_until(
            lambda: _status(plane, "/apis/trading.io/v1/tradingbots") == 200,
            what="the CRD",
            seconds=30,
        )
        rendered = Manifests.render(
            lambda directory: plane.kubectl("kustomize", str(directory), check=True).stdout
        ).webhooks
        bundle = base64.b64encode((certificates / "ca.crt").read_bytes()).decode()
        for server in (ours, peer):
            configured = [_configuration(webhook, server, bundle) for webhook in rendered]
            plane.kubectl("apply", "-f", "-", stdin=text(configured), check=True)
        plane.kubectl("apply", "-f", str(POLICIES), check=True)
        for name in VARIANTS[1:]:
            wait_until(lambda name=name: _in_force(plane, name), what=name, seconds=60)  # type: ignore[misc]
        yield plane


def _namespaces() -> list[Json]:
    return [
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": f"bench-{name}", "labels": {"bench": name}},
        }
        for name in VARIANTS
    ]


def _configuration(rendered: Json, server: Server, bundle: str) -> Json:
    """Return the product's webhook configuration for one server and one namespace."""
    configuration = copy.deepcopy(rendered)
    assert configuration["kind"] in _WEBHOOK_KINDS
    configuration["metadata"] = {"name": f"bench-{server.name}"}
    for webhook in configuration["webhooks"]:
        plural = webhook["rules"][0]["resources"][0]
        kind = "TradingBot" if plural == "tradingbots" else "AssetRegistry"
        # The webhook for stops gets no creates, and the peer has no path for it.
        path = webhook["clientConfig"]["service"]["path"].lstrip("/").removesuffix("/stop")
        assert path in ENDPOINTS
        webhook["clientConfig"] = {
            "url": f"https://127.0.0.1:{server.port}{server.path(kind, path)}",
            "caBundle": bundle,
        }
        webhook["namespaceSelector"] = {"matchLabels": {"bench": server.name}}
    return configuration


def _in_force(plane: ControlPlane, name: str) -> bool:
    """Return whether a fraction becomes a string and a rule across fields denies."""
    bot = sample_bot(0)
    bot["metadata"] = {"name": "probe", "namespace": f"bench-{name}"}
    broken = copy.deepcopy(bot)
    bot["spec"]["riskManagement"]["stopLossPercentage"] = 2.5
    broken["spec"]["exchange"]["apiKeyPath"] = "api-secret"
    path = f"/apis/trading.io/v1/namespaces/bench-{name}/tradingbots?dryRun=All"
    answers = [plane.client.post(path, manifest) for manifest in (bot, broken)]
    if any(answer is None for answer in answers):
        return False
    good, bad = (answer.json() for answer in answers if answer is not None)
    limits = good.get("spec", {}).get("riskManagement", {})
    return bool(limits.get("stopLossPercentage") == "2.5" and bad.get("code") == 422)


def _status(plane: ControlPlane, path: str) -> int | None:
    answer = plane.client.get(path)
    return answer.status if answer is not None else None


def _empty(plane: ControlPlane) -> None:
    for name in VARIANTS:
        path = f"/apis/trading.io/v1/namespaces/bench-{name}/tradingbots"
        plane.kubectl("delete", "--raw", path, check=True)


def _connect(plane: ControlPlane) -> http.client.HTTPSConnection:
    context = ssl.create_default_context(cafile=str(plane.pki.ca))
    context.load_cert_chain(plane.pki.certificate(ADMIN), plane.pki.key(ADMIN))
    return http.client.HTTPSConnection(
        "127.0.0.1", plane.ports.kube_apiserver, timeout=30, context=context
    )


def _round(
    connection: http.client.HTTPSConnection, number: int, creates: int
) -> dict[str, list[float]]:
    """Return the seconds of each create. Each variant is first equally often."""
    times: dict[str, list[float]] = {name: [] for name in VARIANTS}
    for index, bot in enumerate(numbered(sample_bot, creates)):
        first = (index + number) % len(VARIANTS)
        for name in (*VARIANTS[first:], *VARIANTS[:first]):
            bot["metadata"]["namespace"] = f"bench-{name}"
            times[name].append(_create(connection, name, json.dumps(bot).encode()))
    return times


def _create(connection: http.client.HTTPSConnection, name: str, body: bytes) -> float:
    path = f"/apis/trading.io/v1/namespaces/bench-{name}/tradingbots"
    begin = time.perf_counter()
    connection.request("POST", path, body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    text = answer.read()
    taken = time.perf_counter() - begin
    if answer.status != 201:
        raise RuntimeError(f"a create was answered with {answer.status}: {text.decode()[:500]}")
    return taken


def policy_names() -> list[str]:
    """Return the kinds of the CEL variant's policies, for the record."""
    documents: Iterator[Any] = yaml.safe_load_all(POLICIES.read_text(encoding="utf-8"))
    return [document["kind"] for document in documents if "Binding" not in document["kind"]]
