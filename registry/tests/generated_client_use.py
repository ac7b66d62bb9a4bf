"""Create, read, update and delete with the client that test_registry_contract.py generates.

The process runs with the client on its path, and mypy checks this file against it.
"""

import sys
from http import HTTPStatus
from uuid import UUID

from asset_registry_client import Client
from asset_registry_client.api.assets import (
    create_asset,
    delete_asset,
    get_asset,
    list_assets,
    list_dependents,
    patch_asset,
)
from asset_registry_client.api.batch import batch_assets
from asset_registry_client.api.by_ref import delete_asset_by_ref, upsert_asset_by_ref
from asset_registry_client.api.overview import count_assets, list_changes
from asset_registry_client.models import (
    Asset,
    AssetStatus,
    Batch,
    BatchAnswer,
    BatchAsset,
    BatchAssetType,
    BatchCreate,
    BatchCreateOp,
    ChangesPage,
    Create,
    CreateConfig,
    CreateType,
    Deletion,
    Facets,
    ListAssetsTypeItem,
    Patch,
    PatchStatus,
    Problem,
    Upsert,
    UpsertManagedBy,
    UpsertType,
)


def crud(client: Client) -> None:
    """By id, as people do."""
    config = CreateConfig.from_dict({"url": "https://api.example.com"})
    new = Create(name="api", type_=CreateType.APIENDPOINT, config=config, tags=["env:prod"])
    created = create_asset.sync_detailed(client=client, body=new, idempotency_key="k")
    assert created.status_code == HTTPStatus.CREATED
    assert isinstance(created.parsed, Asset)
    asset_id = UUID(created.parsed.id) if isinstance(created.parsed.id, str) else created.parsed.id
    assert created.parsed.config.additional_properties == {"url": "https://api.example.com"}

    body = Patch(status=PatchStatus.ACTIVE)
    changed = patch_asset.sync(asset_id, client=client, body=body, if_match='"1"')
    assert isinstance(changed, Asset)
    assert (changed.status, changed.version) == (AssetStatus.ACTIVE, 2)
    stale = patch_asset.sync(asset_id, client=client, body=body, if_match='"1"')
    assert isinstance(stale, Problem)
    assert stale.type_ == "urn:tradingbot:problem:precondition-failed"

    read = get_asset.sync(asset_id, client=client)
    assert read == changed
    preview = delete_asset.sync(asset_id, client=client, dry_run=True)
    assert isinstance(preview, Deletion)
    assert preview.allowed
    gone = delete_asset.sync_detailed(asset_id, client=client)
    assert gone.status_code == HTTPStatus.NO_CONTENT
    missing = get_asset.sync(asset_id, client=client)
    assert isinstance(missing, Problem)
    assert missing.type_ == "urn:tradingbot:problem:asset-not-found"


def pages(client: Client) -> None:
    """A batch, and the list of what it created."""
    items = [
        BatchCreate(
            op=BatchCreateOp.CREATE,
            asset=BatchAsset(name=f"a{number}", type_=BatchAssetType.OTHER),
        )
        for number in range(5)
    ]
    done = batch_assets.sync(client=client, body=Batch(items=[*items]))
    assert isinstance(done, BatchAnswer)
    names: list[str] = []
    first = list_assets.sync_detailed(
        client=client, type_=[ListAssetsTypeItem.OTHER], page_size=2, sort="name"
    )
    assert isinstance(first.parsed, list)
    names += [str(asset.name) for asset in first.parsed]
    cursor = first.headers["X-Pagination"].split('"next_cursor": "')[1].split('"')[0]
    second = list_assets.sync(
        client=client, type_=[ListAssetsTypeItem.OTHER], page_size=3, sort="name", cursor=cursor
    )
    assert isinstance(second, list), second
    names += [str(asset.name) for asset in second]
    assert names == ["a0", "a1", "a2", "a3", "a4"]
    facets = count_assets.sync(client=client)
    assert isinstance(facets, Facets)
    assert facets.total == len(names)


def by_reference(client: Client) -> None:
    """As a controller does."""
    body = Upsert(name="owned", type_=UpsertType.OTHER, managed_by=UpsertManagedBy.CRD)
    upserted = upsert_asset_by_ref.sync("crd", "default", "x.owned", client=client, body=body)
    assert isinstance(upserted, Asset)
    assert upserted.external_ref == "crd/default/x.owned"
    changes = list_changes.sync(client=client, since=0, limit=500)
    assert isinstance(changes, ChangesPage)
    assert changes.changes[-1].name == "owned"
    needing = list_dependents.sync(UUID(str(upserted.id)), client=client)
    assert needing == []
    gone = delete_asset_by_ref.sync_detailed("crd", "default", "x.owned", client=client)
    assert gone.status_code == HTTPStatus.NO_CONTENT


if __name__ == "__main__":
    with Client(base_url=sys.argv[1], raise_on_unexpected_status=True) as registry:
        crud(registry)
        pages(registry)
        by_reference(registry)
