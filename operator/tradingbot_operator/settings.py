"""The operator's settings."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class OperatorSettings(BaseSettings):
    """How the operator runs; each can be set by a flag or an environment variable."""

    model_config = SettingsConfigDict(env_prefix="TRADINGBOT_", frozen=True)

    namespaces: str = Field(
        "", description="Namespaces to watch, separated by commas; empty means all of the cluster."
    )
    registry_url: str = Field(
        "http://127.0.0.1:8090", description="Base URL of the registry; empty switches it off."
    )
    registry_token_file: str = Field(
        "", description="File with the bearer token for the registry, read anew for each request."
    )
    health_host: str = Field("127.0.0.1", description="Address of /healthz, /readyz, /metrics.")
    health_port: int = Field(
        8082, description="Port of /healthz, /readyz, /metrics.", ge=0, le=65535
    )
    workers: int = Field(
        10, description="Most bots that are reconciled at the same time.", ge=1, le=100
    )
    credentials_interval: float = Field(
        60.0, description="Seconds between two looks at a bot's Secret.", gt=0
    )
    resync_interval: float = Field(
        300.0, description="Seconds between two full comparisons with the API server.", gt=0
    )
    cleanup_timeout: float = Field(
        60.0,
        description="Seconds that a deletion waits for an unreachable registry before it goes on.",
        ge=0,
    )
