"""The `AssetRegistry` resource: a list of assets, synced into the registry service."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import Field

from tradingbot_api.asset import (
    MAX_DESCRIPTION,
    MAX_TAGS,
    REFERENCE_LENGTH,
    REFERENCE_PATTERN,
    TAG_PATTERN,
    AssetStatus,
    AssetType,
)
from tradingbot_api.constraints import Cel, Kubernetes, NotNull, Text, cel, list_type
from tradingbot_api.model import (
    AWAITING_OPERATOR,
    DNS_LABEL,
    NEVER_OBSERVED,
    Condition,
    JsonObject,
    Model,
    SecretKey,
    SecretName,
)

NAME_LENGTH = 63
"""A label, with no dot: the registry knows an asset as `crd/NAMESPACE/REGISTRY.ASSET`, and all
assets of `one` begin alike with those of `one.two` if there may be such a name."""

AssetName = Annotated[
    str,
    Text(
        "must be a DNS-1123 label: at most 63 lower-case letters, digits and '-', beginning and"
        " ending with a letter or digit",
        pattern=DNS_LABEL,
        max_length=63,
    ),
]
Tag = Annotated[
    str,
    Text(
        "must be at most 63 lower-case letters, digits, '-', '_', '.' and ':', beginning and"
        " ending with a letter or digit",
        pattern=TAG_PATTERN,
        max_length=63,
    ),
]


class DeletionPolicy(StrEnum):
    """What happens to the assets when their AssetRegistry is deleted."""

    DELETE = "Delete"
    RETAIN = "Retain"


class SecretRef(Model):
    """A reference to a credential, never the credential itself."""

    name: SecretName = Field(description="Name of the Secret.")
    key: SecretKey = Field(description="Key in the Secret.")


class Asset(Model):
    """One piece of infrastructure."""

    name: AssetName = Field(description="Name of the asset, unique in this object.")
    type: Annotated[AssetType, Field(strict=False)] = Field(description="Kind of infrastructure.")
    status: Annotated[AssetStatus, Field(strict=False)] = Field(
        AssetStatus.DRAFT,
        description="Lifecycle status. An asset never returns to Draft.",
    )
    description: Annotated[str, Text("must be a string", max_length=MAX_DESCRIPTION)] = Field(
        "", description="Description for people."
    )
    tags: Annotated[list[Tag], Field(max_length=MAX_TAGS), list_type("set")] = Field(
        [], description="Tags to search for."
    )
    config: Annotated[JsonObject, Kubernetes((("x-kubernetes-preserve-unknown-fields", True),))] = (
        Field(
            {},
            description="Properties, at most 16 KiB as JSON. ApiEndpoint needs url,"
            " DatabaseConnection needs engine, host and database, KubernetesDeployment needs"
            " namespace and name. Never credentials.",
        )
    )
    secret_ref: Annotated[SecretRef | None, NotNull()] = Field(
        None, description="Secret and key with the credential of the asset."
    )
    depends_on: Annotated[
        list[
            Annotated[
                str,
                Text(
                    "must be the name of an asset of this object, a reference such as"
                    " crd/NAMESPACE/OBJECT.ASSET, or the UUID of an asset in the registry",
                    pattern=f"^({DNS_LABEL[1:-1]}|{REFERENCE_PATTERN})$",
                    max_length=REFERENCE_LENGTH,
                ),
            ]
        ],
        Field(max_length=500),
        list_type("set"),
    ] = Field(
        [],
        description="Assets that this asset needs: names in this object; references to others, such"
        " as crd/NAMESPACE/OBJECT.ASSET or tradingbot/NAMESPACE/BOT, which need not exist yet; or"
        " UUIDs of assets in the registry. Cycles are rejected.",
    )


class AssetRegistrySpec(Model):
    """The desired assets."""

    assets: Annotated[
        list[Asset], Field(min_length=1, max_length=500), list_type("map", key="name")
    ] = Field(description="Assets, 1 to 500.")
    deletion_policy: Annotated[DeletionPolicy, Field(strict=False)] = Field(
        DeletionPolicy.DELETE,
        description="What happens to the assets in the registry when this object is deleted:"
        " Delete removes them, Retain keeps them.",
    )


class SyncedAsset(Model):
    """An asset as stored in the registry."""

    name: str = Field(description="Name of the asset in this object.")
    id: str = Field(description="UUID of the asset in the registry.")
    status: str = Field(description="Status of the asset in the registry.")
    effective_status: str = Field(
        description="Status of the asset, with the status of its dependencies taken into account."
    )


class AssetCounts(Model):
    """The number of assets in each status."""

    total: int = Field(0, description="Number of assets in this object.")
    draft: int = Field(0, description="Assets in Draft.")
    active: int = Field(0, description="Assets in Active.")
    inactive: int = Field(0, description="Assets in Inactive.")
    failed: int = Field(0, description="Assets in Failed.")


class AssetRegistryStatus(Model):
    """The observed state of the assets."""

    observed_generation: int = Field(
        NEVER_OBSERVED,
        description="The metadata.generation that the status was computed from, -1 before the first"
        " time.",
    )
    conditions: Annotated[list[Condition], list_type("map", key="type")] = Field(
        [],
        description="Synced: the registry holds the desired assets. Ready: Synced, and no asset has"
        " failed. Reconciling and Stalled, if present: the object is not synced yet, or needs"
        " somebody to act.",
        json_schema_extra=AWAITING_OPERATOR,
    )
    assets: Annotated[list[SyncedAsset], list_type("map", key="name")] = Field(
        [], description="Assets as stored in the registry."
    )
    counts: Annotated[AssetCounts | None, NotNull()] = Field(
        None, description="Number of assets in each status."
    )


class AssetRegistry(Model):
    """A list of infrastructure assets, synced into the registry service."""

    plural: ClassVar[str] = "assetregistries"
    short_names: ClassVar[Sequence[str]] = ("areg",)
    printer_columns: ClassVar[Sequence[dict[str, Any]]] = (
        {"name": "Assets", "type": "integer", "jsonPath": ".status.counts.total"},
        {"name": "Active", "type": "integer", "jsonPath": ".status.counts.active"},
        {"name": "Failed", "type": "integer", "jsonPath": ".status.counts.failed"},
        {
            "name": "Synced",
            "type": "string",
            "jsonPath": '.status.conditions[?(@.type=="Synced")].status',
        },
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    )
    extensions: ClassVar[Kubernetes] = cel(
        Cel(
            f"size(self.metadata.name) <= {NAME_LENGTH}"
            f" && self.metadata.name.matches('{DNS_LABEL}')",
            f"metadata.name must be a DNS-1123 label of at most {NAME_LENGTH} characters",
        )
    )

    spec: AssetRegistrySpec = Field(description="Desired assets.")
    status: AssetRegistryStatus = Field(
        AssetRegistryStatus(), description="Observed state, written by the operator."
    )
