"""Health, metrics and one log line per request."""

import logging
import re
import secrets
import time
from collections.abc import Iterator
from functools import cache

import peewee
from flask import Blueprint, Flask, Response, g, request
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from tradingbot_registry.inventory.store import Store
from tradingbot_registry.refusals import StorageError
from tradingbot_registry.rest.long_poll import will_be_answered_again
from tradingbot_registry.storage.database import storage_error, write
from tradingbot_registry.storage.engine import Database

log = logging.getLogger(__name__)

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
PROBES = frozenset({"/healthz", "/readyz", "/metrics"})


class AssetCounts(Collector):
    """Number of assets by type and status, counted at each scrape."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the gauge; nothing if the database can't be read, for the other metrics."""
        gauge = GaugeMetricFamily(
            "tradingbot_registry_assets",
            "Assets in the inventory, by type and own status.",
            labels=("type", "status"),
        )
        try:
            with self._store.database.connection_context():
                found = self._store.reads.counts()
        except peewee.PeeweeException:
            log.exception("assets can't be counted")
            return
        for asset_type, status, count in found:
            gauge.add_metric((asset_type, status), count)
        yield gauge


def register(app: Flask, store: Store) -> None:
    """Observe every request of `app`, and serve health and metrics."""
    metrics = CollectorRegistry()
    requests = Counter(
        "tradingbot_registry_requests",
        "Requests answered, by method, route and status.",
        ("method", "route", "code"),
        registry=metrics,
    )
    durations = Histogram(
        "tradingbot_registry_request_duration_seconds",
        "Time to answer, by method and route.",
        ("method", "route"),
        buckets=BUCKETS,
        registry=metrics,
    )
    metrics.register(AssetCounts(store))
    # There are few: of methods and routes that are served, and of statuses.
    count_of, duration_of = cache(requests.labels), cache(durations.labels)

    @app.before_request
    def begin() -> None:
        sent = request.headers.get("X-Request-ID", "")
        g.request_id = sent if REQUEST_ID.fullmatch(sent) else secrets.token_hex(8)
        g.began = time.perf_counter()
        g.actor = "anonymous"

    @app.after_request
    def end(response: Response) -> Response:
        if will_be_answered_again(request.environ):
            return response
        seconds = time.perf_counter() - g.began
        # The rule, not the path: each id would be a series.
        route = request.url_rule.rule if request.url_rule else "unknown"
        method = request.method if request.url_rule else "unknown"
        count_of(method, route, str(response.status_code)).inc()
        duration_of(method, route).observe(seconds)
        response.headers["X-Request-ID"] = g.request_id
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers.setdefault("Cache-Control", "no-cache")
        _log(response, seconds)
        return response

    app.register_blueprint(_blueprint(store.database, metrics))


def _log(response: Response, seconds: float) -> None:
    level = logging.DEBUG if request.path in PROBES else logging.INFO
    log.log(
        level,
        "%s %s %d",
        request.method,
        request.path,
        response.status_code,
        extra={
            "method": request.method,
            "path": request.path,
            "status": response.status_code,
            "seconds": round(seconds, 6),
            "actor": g.actor,
            "request_id": g.request_id,
        },
    )


def _blueprint(database: Database, metrics: CollectorRegistry) -> Blueprint:
    blueprint = Blueprint("observe", __name__)

    @blueprint.get("/healthz")
    def alive() -> Response:
        return Response("ok\n", mimetype="text/plain")

    @blueprint.get("/readyz")
    def ready() -> Response:
        _check_writable(database)
        return Response("ok\n", mimetype="text/plain")

    @blueprint.get("/metrics")
    def scrape() -> Response:
        return Response(generate_latest(metrics), content_type=CONTENT_TYPE_LATEST)

    return blueprint


def _check_writable(database: Database) -> None:
    """Raise StorageError unless a write can begin now."""
    try:
        with database.connection_context():
            write(database, lambda: None)
    except peewee.PeeweeException as error:
        raise storage_error(error) or StorageError(str(error)) from error
