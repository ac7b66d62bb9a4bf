"""What each process shows at /metrics, asked of the very registries that it is served from."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from tradingbot_certs.health import Status
from tradingbot_gateway.metrics import Metrics as GatewayMetrics
from tradingbot_operator.main import Operator
from tradingbot_operator.settings import OperatorSettings
from tradingbot_registry.app import create_app, prepared_database
from tradingbot_registry.rest import observability
from tradingbot_webhooks.metrics import Metrics

SAMPLES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
"""What the series of a family are called besides its name."""


@dataclass(frozen=True)
class Family:
    """A metric, under the name by which people ask for it."""

    name: str
    type: str
    labels: tuple[str, ...]

    @property
    def series(self) -> set[str]:
        """The names that an expression may use."""
        base = self.name.removesuffix("_total")
        return {base + suffix for suffix in SAMPLES[self.type]}


@cache
def exposed() -> dict[str, frozenset[Family]]:
    """By process."""
    return {
        "operator": frozenset(_families(Operator(OperatorSettings()).metrics.registry)),
        "webhooks": frozenset(_families(Metrics().registry)),
        "certs": frozenset(_families(Status().registry)),
        "registry": frozenset(_of_the_registry()),
        "gateway": frozenset(_families(GatewayMetrics().registry)),
    }


def _of_the_registry() -> list[Family]:
    """Return the metrics of the asset registry, which creates them with its application."""
    kept: list[CollectorRegistry] = []

    def noted() -> CollectorRegistry:
        kept.append(CollectorRegistry())
        return kept[-1]

    with TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        patch.setattr(observability, "CollectorRegistry", noted)
        database = prepared_database(f"sqlite:///{Path(directory) / 'registry.db'}")
        create_app(database)
        (registry,) = kept
        return list(_families(registry))


def _families(registry: CollectorRegistry) -> Iterator[Family]:
    for collector in list(registry._collector_to_names):
        for metric in collector.collect():
            labels = _labels(collector) or _labels(metric)
            suffix = "_total" if metric.type == "counter" else ""
            yield Family(metric.name + suffix, metric.type, labels)


def _labels(of: Any) -> tuple[str, ...]:
    """Return the labels of a family, also of one without samples: prometheus_client has no API."""
    return tuple(getattr(of, "_labelnames", ()))
