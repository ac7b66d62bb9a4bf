"""Settings of `tradingbot webhooks`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from tradingbot_api.strategies import checked

MAX_BODY = 3 << 20
"""Bytes. The API server's own limit for an object; a review holds at most two and a little more."""


class WebhookSettings(BaseSettings):
    """The addresses, the certificate and the limits of the admission server."""

    model_config = SettingsConfigDict(
        env_prefix="TRADINGBOT_WEBHOOKS_", frozen=True, extra="ignore"
    )

    host: str = Field(
        default="127.0.0.1",
        description="Address to listen on with TLS. Empty: all addresses, IPv4 and IPv6.",
    )
    port: int = Field(default=9443, ge=0, le=65535, description="Port to listen on with TLS.")
    cert_dir: Path = Field(
        default=Path("/etc/tradingbot/tls"),
        description="Directory with tls.crt and tls.key; reloaded on change.",
    )
    cert_poll_interval: float = Field(
        default=2.0, gt=0, description="Seconds between two checks of the certificate's files."
    )
    health_host: str = Field(
        default="127.0.0.1",
        description="Address of /healthz, /readyz and /metrics (plain HTTP)."
        " Empty: all addresses, IPv4 and IPv6.",
    )
    health_port: int = Field(
        default=8081, ge=0, le=65535, description="Port of /healthz, /readyz and /metrics."
    )
    strategy_images: Annotated[checked.StrategyImages, NoDecode] = Field(
        default=checked.DEFAULT_STRATEGY_IMAGES, description=checked.SETTING
    )
    client_ca: Path | None = Field(
        default=None,
        description="File with the CA of the API server's client certificate, if the API server has"
        " one. Connections with a certificate of this CA are closed last. Others are still served.",
    )
    max_concurrency: int = Field(
        default=512,
        ge=2,
        description="Maximum number of connections, at most half of them from one address. When it"
        " is reached, the connection that was idle longest is closed, unused connections first.",
    )
    max_buffered: int = Field(
        default=32 << 20,
        ge=MAX_BODY,
        description="Maximum number of bytes held in large request bodies. When it is exceeded, the"
        " connection of the client that holds most is closed.",
    )
    request_timeout: float = Field(
        default=10.0,
        gt=0,
        description="Seconds within which a client must complete a TLS handshake, and a request.",
    )
    keep_alive: int = Field(
        default=120,
        ge=1,
        description="Seconds that an idle connection is kept. Must exceed the API server's 90, so"
        " that the webhooks never close a connection while the API server sends a request.",
    )
    drain_delay: float = Field(
        default=5.0,
        ge=0,
        description="Seconds between SIGTERM, when /readyz changes to 503, and the end of"
        " listening.",
    )
    drain_timeout: int = Field(
        default=15,
        ge=1,
        description="Seconds that requests in flight may take after the end of listening.",
    )
