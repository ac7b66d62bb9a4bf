"""What a bot's pod needs in a real cluster: `spec.pod`.

The fields are spelled and shaped as those of Kubernetes' own Pod, as far as they exist there. What
would weaken the `restricted` Pod Security Standard is not in here.
"""

from typing import Annotated

from pydantic import Field

from tradingbot_api.constraints import NotNull, cel, list_type
from tradingbot_api.kubernetes_types import Affinity, Toleration, TopologySpreadConstraint
from tradingbot_api.labels import LabelValue
from tradingbot_api.model import Model
from tradingbot_api.pod_parts import (
    CLASS_IS_KEPT,
    Argument,
    EnvFrom,
    EnvVar,
    Files,
    NetworkPolicyMode,
    Plain,
    PullSecret,
    Storage,
    name_of,
)

DEFAULT_GRACE_SECONDS = 30
MAX_GRACE_SECONDS = 300
MAX_ENTRIES = 64
MAX_ITEMS = 100

ServiceAccountName = Annotated[str, name_of("ServiceAccount")]
PriorityClassName = Annotated[str, name_of("PriorityClass")]
RuntimeClassName = Annotated[str, name_of("RuntimeClass")]
Labels = Annotated[dict[str, LabelValue], Field(max_length=MAX_ENTRIES)]
Annotations = Annotated[dict[str, Plain], Field(max_length=MAX_ENTRIES)]


class Pod(Model):
    """What the bot's pod needs in a cluster: where it runs, what it reads, what it may reach.

    The pod keeps to the restricted Pod Security Standard whatever is set here. A change restarts
    the bot (see spec.updatePolicy), except for storage.size, storage.retain and networkPolicy.
    """

    image_pull_secrets: Annotated[
        list[PullSecret] | None,
        NotNull(),
        Field(max_length=MAX_ITEMS),
        list_type("map", key="name"),
    ] = Field(
        None,
        description="Secrets with the login to the image registry that strategy.image is pulled"
        " from, as kubectl create secret docker-registry writes them. Only for a private registry.",
    )
    service_account_name: Annotated[ServiceAccountName | None, NotNull()] = Field(
        None,
        description="Service account of the pod, for example for its imagePullSecrets or a cloud's"
        " workload identity. Its token is not mounted; for one, see files.serviceAccountToken."
        " If unset: the namespace's account named default.",
    )
    node_selector: Annotated[Labels | None, NotNull()] = Field(
        None,
        description="Labels that a node must have for the pod to be scheduled on it, such as"
        " kubernetes.io/arch: arm64. If unset: any node.",
    )
    tolerations: Annotated[
        list[Toleration] | None, NotNull(), Field(max_length=MAX_ITEMS), list_type("atomic")
    ] = Field(
        None,
        description="Taints of nodes that the pod tolerates. A taint keeps pods away from a node"
        " that is meant for others; a toleration lets this pod run there, and does not make it.",
    )
    affinity: Annotated[Affinity | None, NotNull()] = Field(
        None,
        description="Which nodes the pod prefers or needs (nodeAffinity), and which pods it wants"
        " near it (podAffinity) or elsewhere (podAntiAffinity), such as other bots of the same"
        " exchange: the operator labels each pod with trading.io/bot.",
    )
    topology_spread_constraints: Annotated[
        list[TopologySpreadConstraint] | None,
        NotNull(),
        Field(max_length=MAX_ITEMS),
        list_type("map", key=("topologyKey", "whenUnsatisfiable")),
    ] = Field(
        None,
        description="How the pods of several bots spread over zones or nodes: give the bots a label"
        " in common with labels, and select it in labelSelector. A bot has one pod.",
    )
    priority_class_name: Annotated[PriorityClassName | None, NotNull()] = Field(
        None,
        description="Priority class of the pod. If nodes are full, pods of a lower priority are"
        " evicted for pods of a higher one. If unset: the default of the cluster.",
    )
    labels: Annotated[Labels | None, NotNull()] = Field(
        None,
        description="Labels for the pod, the Deployment and the other objects of the bot, as"
        " policies of a cluster ask for, such as a cost center. Those of the operator are refused:"
        " trading.io/, and app.kubernetes.io/name, instance, managed-by, part-of and component. A"
        " change restarts the bot, since the pod has them.",
    )
    annotations: Annotated[Annotations | None, NotNull()] = Field(
        None,
        description="Annotations for the pod and the Deployment, such as those of a service mesh or"
        " of a metrics collector. Never credentials. A change restarts the bot.",
    )
    command: Annotated[
        list[Argument] | None, NotNull(), Field(max_length=MAX_ITEMS), list_type("atomic")
    ] = Field(
        None,
        description="Program of the container and its first arguments, instead of the image's"
        " ENTRYPOINT. No shell runs it; $(NAME) stands for a variable of env.",
    )
    args: Annotated[
        list[Argument] | None, NotNull(), Field(max_length=MAX_ITEMS), list_type("atomic")
    ] = Field(
        None,
        description="Arguments of the program, instead of the image's CMD. $(NAME) stands for a"
        " variable of env. Never credentials: who may see the pod sees them.",
    )
    env: Annotated[
        list[EnvVar] | None,
        NotNull(),
        Field(max_length=MAX_ITEMS),
        list_type("map", key="name"),
    ] = Field(
        None,
        description="Environment variables of the bot, beside EXCHANGE_API_KEY, EXCHANGE_API_SECRET"
        " and TRADINGBOT_CONFIG, which the operator sets.",
    )
    env_from: Annotated[
        list[EnvFrom] | None, NotNull(), Field(max_length=MAX_ITEMS), list_type("atomic")
    ] = Field(None, description="ConfigMaps and Secrets whose keys become environment variables.")
    files: Annotated[
        list[Files] | None,
        NotNull(),
        Field(max_length=MAX_ITEMS),
        list_type("map", key="mountPath"),
    ] = Field(
        None,
        description="Read-only directories of the bot with files from ConfigMaps, Secrets and"
        " service account tokens, such as models or a client certificate.",
    )
    storage: Annotated[Storage | None, NotNull(), cel(CLASS_IS_KEPT)] = Field(
        None,
        description="Persistent volume of the bot, which keeps its data over restarts, by a"
        " PersistentVolumeClaim that is called NAME-data (ReadWriteOnce). If this is removed again,"
        " the volume is unmounted and kept until the bot is deleted.",
    )
    termination_grace_period_seconds: Annotated[int, Field(ge=1, le=MAX_GRACE_SECONDS)] = Field(
        DEFAULT_GRACE_SECONDS,
        description="Seconds between SIGTERM, which asks the bot to cancel its entries and end, and"
        f" SIGKILL: 1 to {MAX_GRACE_SECONDS}. A stop or a halt of a bot that does not end by itself"
        " takes that long.",
    )
    runtime_class_name: Annotated[RuntimeClassName | None, NotNull()] = Field(
        None,
        description="Runtime class of the pod, which chooses how its containers run, such as in a"
        " sandbox (gVisor, Kata). If unset: the default of the node.",
    )
    network_policy: Annotated[NetworkPolicyMode | None, NotNull(), Field(strict=False)] = Field(
        None,
        description="Restricted adds a NetworkPolicy: the bot is reached only from the operator's"
        " namespace, on port 8080, and reaches only DNS and the ports of the exchange and of the"
        " proxy, at any address, since a NetworkPolicy knows no host names. It takes effect where"
        " the cluster's network enforces policies. If unset: none.",
    )
