"""The operator's settings."""

from pydantic import Field, field_validator
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
    risk_url: str = Field(
        "http://{name}.{namespace}.svc:8080/risk",
        description="Where a bot reports its risk; {name} and {namespace} are the bot's.",
    )

    @field_validator("risk_url")
    @classmethod
    def _with_its_places(cls, template: str) -> str:
        try:
            one, other = (template.format(namespace="desk", name=name) for name in ("a", "b"))
        except (LookupError, ValueError) as error:
            raise ValueError("may have no braces but {name} and {namespace}") from error
        if one == other or not one.startswith(("http://", "https://")):
            raise ValueError("must be an http or https URL with {name} in it")
        return template

    risk_interval: float = Field(
        5.0, description="Seconds between two polls of a running bot's risk report.", gt=0
    )
    risk_timeout: float = Field(
        2.0, description="Seconds that a bot may take to answer a poll.", gt=0
    )
    risk_status_interval: float = Field(
        60.0,
        description="Seconds between two writes of a bot's figures into its status; what matters"
        " more than a figure is written at once.",
        ge=0,
    )
    credentials_interval: float = Field(
        60.0, description="Seconds between two looks at a bot's Secret.", gt=0
    )
    resync_interval: float = Field(
        300.0, description="Seconds between two full comparisons with the API server.", gt=0
    )
    leader_election: bool = Field(
        False, description="Act only while holding the lease, so that several operators may run."
    )
    lease_name: str = Field("tradingbot-operator", description="Name of the lease.", min_length=1)
    lease_namespace: str = Field(
        "", description="Namespace of the lease; empty means the pod's, or tradingbot-system."
    )
    lease_duration: int = Field(
        10,
        description="Seconds after which another operator takes over from one that is silent.",
        ge=3,
        le=300,
    )
    cleanup_timeout: float = Field(
        60.0,
        description="Seconds that a deletion waits for an unreachable registry before it goes on.",
        ge=0,
    )
