"""The settings of the registry."""

from enum import StrEnum
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

HISTORY_DAYS = 90
"""Days for which changes are kept by default."""


class AuthMode(StrEnum):
    """How callers are authenticated."""

    NONE = "none"
    KUBERNETES = "kubernetes"


class DatabaseSettings(BaseSettings):
    """Settings of the commands that use the database without serving it."""

    model_config = SettingsConfigDict(env_prefix="TRADINGBOT_REGISTRY_", frozen=True)

    database_url: str = Field(
        default="sqlite:///registry.db",
        repr=False,  # It may have a password.
        description="URL of the database: sqlite:////absolute/path/file.db, or"
        " sqlite:///file.db relative to the working directory, created if missing; or"
        " postgresql://USER@HOST:5432/DATABASE?sslrootcert=/path/ca.crt, which exists.",
    )
    database_password_file: Path | None = Field(
        default=None,
        description="File with the password for PostgreSQL, and nothing else; read again for each"
        " new connection.",
    )


class RegistrySettings(DatabaseSettings):
    """Settings of `tradingbot registry`: flags, or `TRADINGBOT_REGISTRY_*` variables."""

    host: str = Field(
        default="127.0.0.1",
        description="Address to listen on. An address other than loopback needs --auth-mode"
        " kubernetes and --cert-dir. Empty: all addresses, IPv4 and IPv6.",
    )
    port: int = Field(
        default=8090, ge=0, le=65535, description="TCP port to listen on; 0 takes a free one."
    )
    auth_mode: AuthMode = Field(
        default=AuthMode.NONE,
        description="Who may call: 'none' serves this machine alone, without authentication;"
        " 'kubernetes' checks bearer tokens by TokenReview and access by RBAC on"
        " assets.registry.trading.io.",
    )
    token_audience: str = Field(
        default="tradingbot-registry",
        min_length=1,
        description="Audience that bearer tokens must be issued for, as with kubectl create token"
        " NAME --audience=tradingbot-registry.",
    )
    accept_cluster_tokens: bool = Field(
        default=False,
        description="Also accept tokens that are for the API server, such as people's OIDC tokens."
        " Anyone who gets hold of one on its way here can act as its owner in the cluster.",
    )
    cert_dir: Path | None = Field(
        default=None,
        description="Directory with tls.crt and tls.key: serve HTTPS with them; reloaded on"
        " change. Without it plain HTTP is served, to this machine alone.",
    )
    threads: int = Field(
        default=8, ge=1, le=256, description="Maximum number of concurrent requests."
    )
    history_days: int = Field(
        default=HISTORY_DAYS,
        ge=1,
        le=36500,
        description="Days for which the changes of assets are kept. Writes delete older ones.",
    )
