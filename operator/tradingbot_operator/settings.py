"""The operator's settings."""

import ipaddress
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from tradingbot_api.entry_grant import MOST_SECONDS
from tradingbot_api.quantity import thousandths
from tradingbot_api.strategies import checked

from tradingbot_operator.registry_tls import may_carry_token

DEFAULT_NO_PROXY = (
    "localhost,127.0.0.1,::1,.svc,.{cluster_domain},10.0.0.0/8,172.16.0.0/12,192.168.0.0/16"
)
"""The names of Services, and the private ranges in which clusters have their pods and Services."""


def _is_quantity(text: str) -> str:
    if (thousandths(text) or 0) <= 0:
        raise ValueError(f"{text!r} must be a quantity greater than 0, such as 100m or 64Mi")
    return text


GatewayQuantity = Annotated[str, AfterValidator(_is_quantity)]


class OperatorSettings(BaseSettings):
    """The operator's settings. Each can be set by a flag or an environment variable."""

    model_config = SettingsConfigDict(env_prefix="TRADINGBOT_OPERATOR_", frozen=True)

    namespaces: str = Field(
        "", description="Namespaces to watch, separated by commas; empty for all."
    )
    strategy_images: Annotated[checked.StrategyImages, NoDecode] = Field(
        checked.DEFAULT_STRATEGY_IMAGES, description=checked.SETTING
    )
    registry_url: str = Field(
        "http://127.0.0.1:8090",
        description="Base URL of the registry; empty disables it. {cluster_domain} is replaced by"
        " the DNS domain of the cluster, for an absolute host name with a dot at its end.",
    )
    registry_ca_file: str = Field(
        "",
        description="PEM file with the certificate authorities of the registry, reloaded on change;"
        " empty for those of the system.",
    )
    registry_server_name: str = Field(
        "",
        description="Host name in the registry's certificate; empty for the host of"
        " --registry-url.",
    )
    cluster_domain: str = Field(
        "",
        description="DNS domain of the cluster; empty for the one in the search list of"
        " /etc/resolv.conf, or cluster.local.",
        pattern=r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$",
    )
    registry_token_file: str = Field(
        "",
        description="File with the bearer token for the registry, read for each request. The token"
        " is sent over https or to this machine only.",
    )
    health_host: str = Field(
        "127.0.0.1",
        description="Listen address of /healthz, /readyz and /metrics."
        " Empty: all addresses, IPv4 and IPv6.",
    )
    health_port: int = Field(
        8082, description="Port of /healthz, /readyz and /metrics.", ge=0, le=65535
    )
    metrics_token_file: str = Field(
        "",
        description="File with the bearer token that clients of /metrics must send, read for each"
        " request. Without a token, /metrics is served on a loopback --health-host only.",
    )
    workers: int = Field(
        10, description="Maximum number of concurrent reconciles of bots.", ge=1, le=100
    )
    risk_url: str = Field(
        "http://{ip}:8080/risk",
        description="URL of a bot's risk report; {ip} is replaced by the address of its pod. Host"
        " names are not looked up. For simulated bots: a literal address, with {namespace} and"
        " {name} in the path.",
    )

    @field_validator("risk_url")
    @classmethod
    def _check_risk_url(cls, template: str) -> str:
        check_risk_url(template)
        return template

    risk_interval: float = Field(
        5.0, description="Seconds between two polls of a running bot.", gt=0
    )
    risk_timeout: float = Field(
        2.0, description="Time-out of a poll, in seconds, for the whole answer.", gt=0
    )
    risk_status_interval: float = Field(
        60.0,
        description="Minimum seconds between two updates of the figures in a bot's status; a halt"
        " is written at once.",
        ge=0,
    )
    operator_namespace: str = Field(
        "",
        description="Namespace from which bots with networkPolicy Restricted may be reached; empty"
        " for that of the pod, or tradingbot-system.",
    )
    no_proxy: str = Field(
        "",
        description="Hosts that bots with a proxyURL reach without it, separated by commas; empty"
        f" for {DEFAULT_NO_PROXY}. The API server is added. {{cluster_domain}} is replaced by the"
        " DNS domain of the cluster. A change restarts these bots.",
    )
    gateway_image: str = Field(
        "",
        description="Image of the risk gateway in the pods of bots with enforcement Gateway; empty"
        " for the operator's own image. A change restarts these bots.",
    )
    gateway_cpu_request: GatewayQuantity = Field("20m", description="CPU request of the gateway.")
    gateway_memory_request: GatewayQuantity = Field(
        "96Mi", description="Memory request of the gateway."
    )
    gateway_cpu_limit: GatewayQuantity = Field("1", description="CPU limit of the gateway.")
    gateway_memory_limit: GatewayQuantity = Field(
        "192Mi", description="Memory limit of the gateway."
    )
    gateway_silence: float = Field(
        300.0,
        description="Seconds without any answer of the gateway after which the pod of a bot in mode"
        " Live is replaced.",
        ge=30,
    )
    gateway_grant: int = Field(
        300,
        description="Seconds for which the gateway of a bot in mode Live lets entries through after"
        " the operator has last renewed its right. It is renewed three times as often. Also how"
        " long a new pod waits for that right if the end of the old one is not known.",
        ge=30,
        le=MOST_SECONDS,
    )
    credentials_interval: float = Field(
        60.0, description="Seconds between two checks of a bot's Secret for changes.", gt=0
    )
    resync_interval: float = Field(
        300.0,
        description="Seconds between two full comparisons of the cache with the API server, and of"
        " each bot with the registry.",
        gt=0,
    )
    leader_election: bool = Field(
        False, description="Act only while holding a lease, so that several operators can run."
    )
    lease_name: str = Field("tradingbot-operator", description="Name of the lease.", min_length=1)
    lease_namespace: str = Field(
        "", description="Namespace of the lease; empty for that of the pod, or tradingbot-system."
    )
    lease_duration: int = Field(
        10,
        description="Seconds after which another operator takes over from one that stops renewing.",
        ge=3,
        le=300,
    )
    cleanup_timeout: float = Field(
        60.0,
        description="Seconds that the deletion of an object waits for an unreachable registry.",
        ge=0,
    )

    @model_validator(mode="after")
    def _no_token_in_the_clear(self) -> Self:
        if (
            self.registry_url
            and self.registry_token_file
            and not may_carry_token(self.registry_url)
        ):
            raise ValueError(
                "--registry-token-file needs an https --registry-url, or one on this machine: a"
                " token must not be sent unencrypted"
            )
        return self


def check_risk_url(template: str) -> None:
    """Raise ValueError unless the template has a URL for each bot, without a host name."""
    bare = template
    for place in ("{ip}", "{name}", "{namespace}"):
        bare = bare.replace(place, "")
    if "{" in bare or "}" in bare:
        raise ValueError("must not contain braces except {ip}, {namespace} and {name}")
    try:
        parts = urlsplit(template)
        port, host = parts.port, parts.hostname or ""
        if host != "{ip}":
            ipaddress.ip_address(host)
    except ValueError as error:
        raise ValueError(
            "must have {ip} or a literal address as its host, since host names are not looked up,"
            " and a number as its port"
        ) from error
    if parts.scheme != "http" or parts.username is not None or port == 0:
        raise ValueError("must be an http URL without user and password")
    if host != "{ip}" and "{name}" not in parts.path:
        raise ValueError("must have {ip} as its host, or {name} in its path")
    if "{ip}" in parts.path or parts.query or parts.fragment:
        raise ValueError("must not contain {ip} outside of its host, and must end with its path")
