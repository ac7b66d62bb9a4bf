"""What the registry can be told, from flags or `TRADINGBOT_*` environment variables."""

from enum import StrEnum

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class AuthMode(StrEnum):
    """Who may call."""

    NONE = "none"
    KUBERNETES = "kubernetes"


class RegistrySettings(BaseSettings):
    """Settings of `tradingbot api-server`."""

    model_config = SettingsConfigDict(env_prefix="TRADINGBOT_", frozen=True)

    host: str = Field(
        default="127.0.0.1",
        description="Address to listen on. Anything but loopback needs --auth-mode kubernetes.",
    )
    port: int = Field(
        default=8090, ge=0, le=65535, description="TCP port to listen on; 0 takes a free one."
    )
    database_url: str = Field(
        default="sqlite:///registry.db",
        description="Where the inventory is kept: sqlite:////absolute/path/file.db, or"
        " sqlite:///file.db below the working directory. Made on first run.",
    )
    auth_mode: AuthMode = Field(
        default=AuthMode.NONE,
        description="Who may call: 'none' serves this machine alone and asks for no login;"
        " 'kubernetes' checks bearer tokens by TokenReview and access by RBAC on"
        " assets.registry.trading.io.",
    )
    threads: int = Field(default=8, ge=1, le=256, description="Requests answered at one time.")
