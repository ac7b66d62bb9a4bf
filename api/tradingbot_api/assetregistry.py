"""The `AssetRegistry` resource: a catalogue of assets, synced into the registry service."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import Field

from tradingbot_api.asset import (
    MAX_DESCRIPTION,
    MAX_TAGS,
    TAG_PATTERN,
    AssetStatus,
    AssetType,
)
from tradingbot_api.constraints import Cel, Kubernetes, NotNull, Text, cel, list_type
from tradingbot_api.model import DNS_LABEL, Condition, JsonObject, Model, SecretKey, SecretName

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
    """What becomes of the assets when their resource is deleted."""

    DELETE = "Delete"
    RETAIN = "Retain"


class SecretRef(Model):
    """Where a credential is: never the credential."""

    name: SecretName = Field(description="Name of the Secret.")
    key: SecretKey = Field(description="Key in the Secret.")


class Asset(Model):
    """One piece of infrastructure."""

    name: AssetName = Field(description="Name of the asset, unique in this object.")
    type: Annotated[AssetType, Field(strict=False)] = Field(description="Kind of infrastructure.")
    status: Annotated[AssetStatus, Field(strict=False)] = Field(
        AssetStatus.DRAFT,
        description="Where it is in its life. Nothing returns to Draft.",
    )
    description: Annotated[str, Text("must be a string", max_length=MAX_DESCRIPTION)] = Field(
        "", description="What it is, for a person."
    )
    tags: Annotated[list[Tag], Field(max_length=MAX_TAGS), list_type("set")] = Field(
        [], description="Words to find it by."
    )
    config: Annotated[JsonObject, Kubernetes((("x-kubernetes-preserve-unknown-fields", True),))] = (
        Field(
            {},
            description="Facts about it, at most 16 KiB as JSON. ApiEndpoint needs url,"
            " DatabaseConnection needs engine, host and database, KubernetesDeployment needs"
            " namespace and name. Never credentials.",
        )
    )
    secret_ref: Annotated[SecretRef | None, NotNull()] = Field(
        None, description="The Secret and key that hold its credential."
    )
    depends_on: Annotated[
        list[
            Annotated[
                str,
                Text(
                    "must be the name of an asset of this object or the UUID of one in the"
                    " registry",
                    pattern=DNS_LABEL,
                    max_length=63,
                ),
            ]
        ],
        Field(max_length=500),
        list_type("set"),
    ] = Field(
        [],
        description="Assets that it needs: names in this object, or UUIDs of assets in the"
        " registry. There may be no cycle.",
    )


class AssetRegistrySpec(Model):
    """What the user wants."""

    assets: Annotated[
        list[Asset], Field(min_length=1, max_length=500), list_type("map", key="name")
    ] = Field(description="The assets, 1 to 500.")
    deletion_policy: Annotated[DeletionPolicy, Field(strict=False)] = Field(
        DeletionPolicy.DELETE,
        description="What becomes of the assets in the registry when this object is deleted:"
        " Delete removes them, Retain leaves them.",
    )


class SyncedAsset(Model):
    """An asset as the registry has it."""

    name: str = Field(description="Name of the asset in this object.")
    id: str = Field(description="UUID of the asset in the registry.")
    status: str = Field(description="Its status in the registry.")
    effective_status: str = Field(
        description="Its status with those of its dependencies taken into account."
    )


class AssetCounts(Model):
    """How many assets are in each status."""

    total: int = Field(0, description="All assets of this object.")
    draft: int = Field(0, description="Those in Draft.")
    active: int = Field(0, description="Those in Active.")
    inactive: int = Field(0, description="Those in Inactive.")
    failed: int = Field(0, description="Those in Failed.")


class AssetRegistryStatus(Model):
    """What the operator reports."""

    observed_generation: Annotated[int | None, NotNull()] = Field(
        None, description="The metadata.generation that the status was computed from."
    )
    conditions: Annotated[list[Condition], list_type("map", key="type")] = Field(
        [], description="Synced: the registry holds what is declared. Ready: and none has failed."
    )
    assets: Annotated[list[SyncedAsset], list_type("map", key="name")] = Field(
        [], description="The assets as the registry has them."
    )
    counts: Annotated[AssetCounts | None, NotNull()] = Field(
        None, description="How many assets are in each status."
    )


class AssetRegistry(Model):
    """A catalogue of infrastructure assets, synced into the registry service."""

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

    spec: AssetRegistrySpec = Field(description="What the user wants.")
    status: AssetRegistryStatus = Field(
        AssetRegistryStatus(), description="What the operator reports; users don't write it."
    )
