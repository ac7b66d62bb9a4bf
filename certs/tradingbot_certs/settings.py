"""Settings of `tradingbot certs`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from tradingbot_certs.authority import Names

_DNS_NAME = re.compile(
    r"(\*\.)?[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*"
)
_SECRET = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?/[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_MAX_DNS_NAME = 253
_CA_SUFFIX = "-ca"


class CertSettings(BaseSettings):
    """Where certificates are kept, for which names, and what is told to trust them."""

    model_config = SettingsConfigDict(env_prefix="TRADINGBOT_", frozen=True, extra="ignore")

    cert_dir: Path | None = Field(
        default=None,
        description="Keep ca.crt, ca.key, tls.crt and tls.key in this folder.",
    )
    secret: str | None = Field(
        default=None,
        description="Keep tls.crt, tls.key and ca.crt in the Secret NAMESPACE/NAME, and the"
        " authority's key in a second one, NAMESPACE/NAME-ca.",
    )
    cert_names: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(
            "tradingbot-webhooks.tradingbot-system.svc",
            "tradingbot-webhooks.tradingbot-system.svc.cluster.local",
        ),
        description="DNS names and IP addresses that the certificate is good for, with commas"
        " between them.",
    )
    inject_ca_bundle: bool | None = Field(
        default=None,
        description="Write the authority into the caBundle of the webhook configurations."
        " By default done with --secret and not with --cert-dir.",
    )
    webhook_configurations: Annotated[tuple[str, ...], NoDecode] = Field(
        default=("tradingbot-mutating", "tradingbot-validating"),
        description="Names of the mutating and validating webhook configurations to inject into,"
        " with commas between them.",
    )
    once: bool = Field(default=False, description="Make what is missing or due, and exit.")
    check_interval: float = Field(
        default=60.0,
        gt=0,
        description="Seconds between two checks of what is stored and injected.",
    )
    certs_health_host: str = Field(
        default="127.0.0.1", description="Address that /healthz, /readyz and /metrics listen on."
    )
    certs_health_port: int = Field(
        default=8083,
        ge=0,
        le=65535,
        description="Port of /healthz, /readyz and /metrics (0: none). Not served with --once.",
    )

    @field_validator("cert_names", "webhook_configurations", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = [value]
        if isinstance(value, list | tuple):
            return tuple(part.strip() for v in value for part in str(v).split(",") if part.strip())
        return value

    @field_validator("cert_names")
    @classmethod
    def _valid_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        names = Names.parse(value)
        if not names.dns and not names.ip:
            raise ValueError("at least one name is needed")
        for name in names.dns:
            if len(name) > _MAX_DNS_NAME or not _DNS_NAME.fullmatch(name):
                raise ValueError(f"{name!r} is neither a DNS name nor an IP address")
        return value

    @field_validator("secret")
    @classmethod
    def _valid_secret(cls, value: str | None) -> str | None:
        if value is not None and not _SECRET.fullmatch(value):
            raise ValueError(f"{value!r} is not NAMESPACE/NAME")
        return value

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.cert_dir is None) == (self.secret is None):
            raise ValueError("give either --cert-dir or --secret")
        return self

    @property
    def names(self) -> Names:
        return Names.parse(self.cert_names)

    @property
    def injects(self) -> bool:
        return self.secret is not None if self.inject_ca_bundle is None else self.inject_ca_bundle

    @property
    def secret_names(self) -> tuple[str, str, str]:
        """Namespace, name of the serving Secret, name of the authority's Secret."""
        if self.secret is None:
            raise ValueError("no Secret is set")
        namespace, _, name = self.secret.partition("/")
        return namespace, name, name + _CA_SUFFIX
