"""The settings of the certificate authority."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from tradingbot_certs.authority import CA_LIFETIME, SERVING_LIFETIME, Names
from tradingbot_certs.plan import SETTLE, Rules

_DNS_NAME = re.compile(
    r"(\*\.)?[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*"
)
_SECRET = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?/[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_ADDRESS = re.compile(r"(?P<host>\[[0-9a-f:.]+\]|[^\s:\[\]]+):(?P<port>[0-9]{1,5})")
_MAX_DNS_NAME = 253
_MAX_PORT = 65535
_CA_SUFFIX = "-ca"
_SERVICE = "tradingbot-webhooks"


class CertSettings(BaseSettings):
    """Settings of `tradingbot certs`: flags, or `TRADINGBOT_CERTS_*` variables."""

    model_config = SettingsConfigDict(env_prefix="TRADINGBOT_CERTS_", frozen=True, extra="ignore")

    cert_dir: Path | None = Field(
        default=None,
        description="Directory for ca.crt, ca.key, tls.crt and tls.key.",
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
    registry_secret: str | None = Field(
        default=None,
        description="Keep the registry's serving certificate in the Secret NAMESPACE/NAME in the"
        " same way, of an authority of its own. With --secret only.",
    )
    registry_cert_names: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(
            "tradingbot-registry.tradingbot-system.svc",
            "tradingbot-registry.tradingbot-system.svc.cluster.local",
        ),
        description="DNS names and IP addresses that the registry's certificate is good for, with"
        " commas between them.",
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
    webhook_service: str | None = Field(
        default=None,
        description="NAMESPACE/NAME of the webhooks' Service, whose servers are asked which"
        " certificate they show before an old authority is dropped. With --secret, by default"
        f" {_SERVICE} in that namespace.",
    )
    webhook_addresses: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="HOST:PORT of every webhook server, with commas between them, to ask these and"
        " look up no Service.",
    )
    ca_lifetime: float = Field(
        default=CA_LIFETIME.total_seconds(),
        ge=1,
        description="Seconds that an authority lives. After two thirds it is replaced.",
    )
    cert_lifetime: float = Field(
        default=SERVING_LIFETIME.total_seconds(),
        ge=1,
        description="Seconds that a serving certificate lives. After two thirds it is renewed.",
    )
    settle: float = Field(
        default=SETTLE.total_seconds(),
        ge=0,
        description="Seconds that API servers and kubelets are given to follow, twice in the"
        " replacement of an authority.",
    )
    once: bool = Field(
        default=False, description="Issue what is missing or due for renewal, and exit."
    )
    check_interval: float = Field(
        default=60.0,
        gt=0,
        description="Seconds between two checks of certificates and caBundles.",
    )
    health_host: str = Field(
        default="127.0.0.1",
        description="Address that /healthz, /readyz and /metrics listen on."
        " Empty: all addresses, IPv4 and IPv6.",
    )
    health_port: int = Field(
        default=8083,
        ge=0,
        le=65535,
        description="Port of /healthz, /readyz and /metrics (0: none). Not served with --once.",
    )

    @field_validator(
        "cert_names",
        "registry_cert_names",
        "webhook_configurations",
        "webhook_addresses",
        mode="before",
    )
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = [value]
        if isinstance(value, list | tuple):
            return tuple(part.strip() for v in value for part in str(v).split(",") if part.strip())
        return value

    @field_validator("cert_names", "registry_cert_names")
    @classmethod
    def _valid_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        names = Names.parse(value)
        if not names.dns and not names.ip:
            raise ValueError("at least one name is needed")
        for name in names.dns:
            if len(name) > _MAX_DNS_NAME or not _DNS_NAME.fullmatch(name):
                raise ValueError(f"{name!r} is neither a DNS name nor an IP address")
        return value

    @field_validator("webhook_addresses")
    @classmethod
    def _valid_addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for address in value:
            found = _ADDRESS.fullmatch(address.lower())
            if found is None or not 0 < int(found["port"]) <= _MAX_PORT:
                raise ValueError(f"{address!r} is not HOST:PORT")
        return value

    @field_validator("secret", "registry_secret", "webhook_service")
    @classmethod
    def _valid_secret(cls, value: str | None) -> str | None:
        if value is not None and not _SECRET.fullmatch(value):
            raise ValueError(f"{value!r} is not NAMESPACE/NAME")
        return value

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.cert_dir is None) == (self.secret is None):
            raise ValueError("give either --cert-dir or --secret")
        if self.registry_secret is not None:
            if self.secret is None:
                raise ValueError("--registry-secret needs --secret")
            if {*_secrets(self.secret)} & {*_secrets(self.registry_secret)}:
                raise ValueError("--registry-secret must be another one than --secret")
        return self

    @model_validator(mode="after")
    def _fitting_lifetimes(self) -> Self:
        # Else a certificate outlives its authority, or is replaced before it is in service.
        if self.ca_lifetime < 3 * self.cert_lifetime:
            raise ValueError("--ca-lifetime must be three times --cert-lifetime or more")
        if self.cert_lifetime < 3 * self.settle:
            raise ValueError("--cert-lifetime must be three times --settle or more")
        return self

    @property
    def rules(self) -> Rules:
        return Rules(
            names=self.names,
            ca_lifetime=timedelta(seconds=self.ca_lifetime),
            serving_lifetime=timedelta(seconds=self.cert_lifetime),
            settle=timedelta(seconds=self.settle),
        )

    @property
    def names(self) -> Names:
        return Names.parse(self.cert_names)

    @property
    def injects(self) -> bool:
        return self.secret is not None if self.inject_ca_bundle is None else self.inject_ca_bundle

    @property
    def needs_cluster(self) -> bool:
        looks_up = self.webhook_service is not None and not self.webhook_addresses
        return self.secret is not None or self.injects or looks_up

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Host and port of each of `webhook_addresses`."""
        parts = (address.rpartition(":") for address in self.webhook_addresses)
        return [(host.strip("[]"), int(port)) for host, _, port in parts]

    @property
    def service(self) -> tuple[str, str] | None:
        """Namespace and name of the webhooks' Service; None if it is not known."""
        if self.webhook_service is not None:
            namespace, _, name = self.webhook_service.partition("/")
            return namespace, name
        return (self.secret_names[0], _SERVICE) if self.secret is not None else None

    @property
    def secret_names(self) -> tuple[str, str, str]:
        """Namespace, name of the serving Secret, name of the authority's Secret."""
        if self.secret is None:
            raise ValueError("no Secret is set")
        return _names(self.secret)

    @property
    def registry_secret_names(self) -> tuple[str, str, str] | None:
        """The same for the registry; None without --registry-secret."""
        return None if self.registry_secret is None else _names(self.registry_secret)

    @property
    def registry_rules(self) -> Rules:
        return replace(self.rules, names=Names.parse(self.registry_cert_names))


def _names(secret: str) -> tuple[str, str, str]:
    namespace, _, name = secret.partition("/")
    return namespace, name, name + _CA_SUFFIX


def _secrets(secret: str) -> tuple[str, str]:
    return secret, secret + _CA_SUFFIX
