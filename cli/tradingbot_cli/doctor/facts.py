"""Facts about a cluster: data without judgement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tradingbot_api.model import JsonObject

from tradingbot_cli.doctor.expected import Right


@dataclass(frozen=True, slots=True)
class Unseen:
    """What could not be read, and why, as text after `unknown:`."""

    why: str


Seen = JsonObject | None | Unseen
"""An object as it is stored; None if it does not exist."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer, from the API server or from a server behind it."""

    status: int
    message: str
    body: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Trust:
    """What the API server checks a webhook's certificate against."""

    host: str
    """The DNS name or IP address that the certificate must be good for."""
    bundle: bytes
    """PEM; empty if none is configured."""
    webhooks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Served:
    """The certificate that one replica serves, or the stored one if no replica can be reached."""

    where: str
    chain: tuple[bytes, ...]
    """DER; the serving certificate first. Of a handshake, only that one."""
    trusted: frozenset[bytes] = frozenset()
    """The bundles to which TLS itself could build a chain, also through intermediates."""


@dataclass(frozen=True, slots=True)
class Unserved:
    """A replica whose certificate could not be read, and why."""

    where: str
    why: str
    broken: bool
    """Whether the webhooks are at fault, and not the network between them and the doctor."""


@dataclass(frozen=True, slots=True)
class Backend:
    """A Service through which webhooks are called."""

    namespace: str
    name: str
    port: int
    service: Seen
    slices: tuple[JsonObject, ...] | Unseen


@dataclass(frozen=True, slots=True)
class LeaseSeen:
    """The Lease, and whether its record was renewed while it was watched."""

    lease: Seen
    renewed: bool = False
    watched_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller's access: server, version, and missing permissions."""

    server: str
    kubernetes: str
    not_allowed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """All facts about one installation."""

    namespace: str
    caller: Caller
    namespace_object: Seen
    crds: Mapping[str, Seen]
    configurations: Mapping[str, Seen]
    """By kind: there is one of each."""
    backends: tuple[Backend, ...]
    """The Services that webhooks are called through; none where they are called by URL."""
    defaulted: Reply | Unseen
    """The answer to a dry run of a bot that the mutating webhook must complete."""
    refused: Reply | Unseen
    """The answer to a dry run of a bot that the validating webhook must refuse."""
    trusts: tuple[Trust, ...]
    served: tuple[Served | Unserved, ...]
    rights: Mapping[Right, bool | Unseen]
    deployments: Mapping[str, Seen]
    lease: LeaseSeen
    registry: Reply | Unseen
    cert_manager: Mapping[str, Seen]
    """cert-manager's Certificates, by `namespace/name`; empty if it is not what is used."""
