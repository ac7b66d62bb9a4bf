"""Settings of `tradingbot webhooks`."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

MAX_BODY = 3 << 20
"""Bytes. The API server's own limit for an object; a review holds at most two and a little more."""


class WebhookSettings(BaseSettings):
    """Where the admission server listens, what it serves with, and what it bears."""

    model_config = SettingsConfigDict(env_prefix="TRADINGBOT_", frozen=True, extra="ignore")

    host: str = Field(default="127.0.0.1", description="Address to listen on with TLS.")
    port: int = Field(default=9443, ge=0, le=65535, description="Port to listen on with TLS.")
    cert_dir: Path = Field(
        default=Path("/etc/tradingbot/tls"),
        description="Folder of tls.crt and tls.key. Both are followed when they change.",
    )
    cert_poll_interval: float = Field(
        default=2.0, gt=0, description="Seconds between two looks at the certificate's files."
    )
    health_host: str = Field(
        default="127.0.0.1", description="Address of /healthz, /readyz and /metrics (plain HTTP)."
    )
    health_port: int = Field(
        default=8081, ge=0, le=65535, description="Port of /healthz, /readyz and /metrics."
    )
    workers: int = Field(default=1, ge=1, le=64, description="Processes that serve.")
    secret_lookup: bool = Field(
        default=False,
        description="Warn when a bot's apiKeySecret does not exist. Only metadata is asked for, but"
        " it takes the right to get every Secret.",
    )
    max_concurrency: int = Field(
        default=512, ge=1, description="Connections and requests at a time; more get a 503."
    )
    max_buffered: int = Field(
        default=64 << 20,
        ge=MAX_BODY,
        description="Bytes of request bodies held at a time by one process; more get a 503.",
    )
    request_timeout: float = Field(
        default=10.0,
        gt=0,
        description="Seconds in which a client must complete a TLS handshake, and a request.",
    )
    keep_alive: int = Field(
        default=120,
        ge=1,
        description="Seconds that an idle connection is kept. More than the API server's 90, so"
        " that it is never the server that closes under a request.",
    )
    drain_delay: float = Field(
        default=5.0,
        ge=0,
        description="Seconds between SIGTERM, when /readyz turns to 503, and the end of listening.",
    )
    drain_timeout: int = Field(
        default=15, ge=1, description="Seconds that requests in flight get after that."
    )
