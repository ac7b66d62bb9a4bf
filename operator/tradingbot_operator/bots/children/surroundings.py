"""What the operator knows of the cluster that it runs in, and a bot's children depend on."""

from dataclasses import dataclass, field

from tradingbot_operator.bots.children.gateway import GatewayImage
from tradingbot_operator.leadership.election import own_namespace
from tradingbot_operator.registry_tls import cluster_domain
from tradingbot_operator.settings import DEFAULT_NO_PROXY, OperatorSettings

API_SERVER = "$(KUBERNETES_SERVICE_HOST)"
"""The kubelet replaces it in the value of a variable."""


@dataclass(frozen=True)
class Surroundings:
    """Facts about the cluster, from the operator's settings."""

    operator_namespace: str = "tradingbot-system"
    """From whose pods a bot with `networkPolicy: Restricted` may be reached."""
    no_proxy: str = DEFAULT_NO_PROXY.replace("{cluster_domain}", "cluster.local")
    """Hosts that bots reach without the egress proxy, separated by commas."""
    gateway: GatewayImage = field(default_factory=GatewayImage)

    @classmethod
    def of(cls, settings: OperatorSettings) -> "Surroundings":
        """Read what the settings leave open from the operator's own pod."""
        domain = settings.cluster_domain or cluster_domain()
        return cls(
            operator_namespace=settings.operator_namespace or own_namespace(),
            no_proxy=(settings.no_proxy or DEFAULT_NO_PROXY).replace("{cluster_domain}", domain),
        )


DEFAULT = Surroundings()
