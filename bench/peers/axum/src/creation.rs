//! Create an asset: the rows that the registry writes too, in one transaction.

use std::collections::HashSet;

use chrono::{SecondsFormat, Utc};
use uuid::Uuid;

use crate::ApiError;
use crate::db::{Builder, Connection, Key};
use crate::model::{Asset, NewAsset, Recorded, Status};
use crate::reads::{AssetRow, loaded};

#[derive(sqlx::FromRow)]
struct Target {
    seq: i64,
    id: Key,
    external_ref: Option<String>,
    status: String,
    effective_status: String,
}

/// Add an asset.
pub async fn create(connection: &mut Connection, new: NewAsset) -> Result<Asset, ApiError> {
    let targets = targets(connection, &new.depends_on).await?;
    let pending = unresolved(&new.depends_on, &targets);
    let unready = !pending.is_empty() || targets.iter().any(|target| target.status == "Draft");
    if new.status == Status::Active && unready {
        return Err(ApiError::Invalid(
            "a dependency of an Active asset is not ready".into(),
        ));
    }
    let now = Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true);
    let bad = targets
        .iter()
        .any(|target| !matches!(target.effective_status.as_str(), "Active" | "Draft"));
    let status = format!("{:?}", new.status);
    let degraded = bad && new.status != Status::Failed;
    let mut row = AssetRow {
        seq: 0,
        id: Uuid::new_v4().into(),
        kind: format!("{:?}", new.kind),
        effective_status: if degraded {
            "Degraded".into()
        } else {
            status.clone()
        },
        status,
        config: serde_json::to_string(&new.config)?,
        secret_ref: new
            .secret_ref
            .map(|secret| serde_json::to_string(&secret))
            .transpose()?,
        managed_by: "user".into(),
        external_ref: None,
        version: 1,
        created_at: now.clone(),
        updated_at: now.clone(),
        name: new.name,
        description: new.description,
    };
    row.seq = insert(connection, &row).await?;
    write_tags(connection, row.seq, &new.tags).await?;
    if !targets.is_empty() {
        let mut query = Builder::new("INSERT INTO dependency (src, dst) ");
        query.push_values(&targets, |mut value, target| {
            value.push_bind(row.seq).push_bind(target.seq);
        });
        query.build().execute(&mut *connection).await?;
    }
    if !pending.is_empty() {
        let mut query = Builder::new("INSERT INTO pending_dependency (src, ref) ");
        query.push_values(&pending, |mut value, reference| {
            value.push_bind(row.seq).push_bind(reference.as_str());
        });
        query.build().execute(&mut *connection).await?;
    }
    let created = loaded(connection, vec![row]).await?.remove(0);
    record(connection, &created, &now).await?;
    Ok(created)
}

async fn insert(connection: &mut Connection, row: &AssetRow) -> Result<i64, ApiError> {
    let search = format!(
        "{}\x1f{}",
        row.name.to_lowercase(),
        row.description.to_lowercase()
    );
    let mut query = Builder::new(
        "INSERT INTO asset (id, name, type, status, effective_status, description, search, \
         config, secret_ref, managed_by, version, created_at, updated_at) ",
    );
    query.push_values([row], |mut value, row| {
        value
            .push_bind(row.id)
            .push_bind(&row.name)
            .push_bind(&row.kind)
            .push_bind(&row.status)
            .push_bind(&row.effective_status)
            .push_bind(&row.description)
            .push_bind(search.as_str())
            .push_bind(&row.config)
            .push_bind(&row.secret_ref)
            .push_bind(&row.managed_by)
            .push_bind(row.version)
            .push_bind(&row.created_at)
            .push_bind(&row.updated_at);
    });
    query.push(" RETURNING seq");
    Ok(query.build_query_scalar().fetch_one(connection).await?)
}

async fn targets(connection: &mut Connection, wanted: &[String]) -> Result<Vec<Target>, ApiError> {
    let mut ids = HashSet::new();
    let mut references: Vec<&str> = vec![];
    for text in wanted {
        if text.contains('/') {
            references.push(text);
        } else {
            let id = Uuid::parse_str(text);
            ids.insert(id.map_err(|_| ApiError::Invalid("dependsOn: is not an id".into()))?);
        }
    }
    let columns = "seq, id, external_ref, status, effective_status";
    let mut found: Vec<Target> = vec![];
    if !ids.is_empty() {
        let mut query = Builder::new(format!("SELECT {columns} FROM asset WHERE id IN ("));
        let mut list = query.separated(", ");
        for id in &ids {
            list.push_bind(Key::from(*id));
        }
        query.push(")");
        found.extend(
            query
                .build_query_as::<Target>()
                .fetch_all(&mut *connection)
                .await?,
        );
    }
    if found.len() != ids.len() {
        return Err(ApiError::Invalid("dependsOn: no asset has this id".into()));
    }
    if !references.is_empty() {
        let mut query = Builder::new(format!(
            "SELECT {columns} FROM asset WHERE external_ref IN ("
        ));
        let mut list = query.separated(", ");
        for reference in references {
            list.push_bind(reference);
        }
        query.push(")");
        let named = query
            .build_query_as::<Target>()
            .fetch_all(&mut *connection)
            .await?;
        found.extend(
            named
                .into_iter()
                .filter(|target| !ids.contains(&Uuid::from(target.id))),
        );
    }
    Ok(found)
}

fn unresolved(wanted: &[String], targets: &[Target]) -> Vec<String> {
    let there: HashSet<&str> = targets
        .iter()
        .filter_map(|target| target.external_ref.as_deref())
        .collect();
    let pending = wanted
        .iter()
        .filter(|text| text.contains('/') && !there.contains(text.as_str()));
    let mut pending: Vec<String> = pending.cloned().collect();
    pending.sort();
    pending
}

async fn write_tags(
    connection: &mut Connection,
    seq: i64,
    names: &[String],
) -> Result<(), ApiError> {
    if names.is_empty() {
        return Ok(());
    }
    let mut query = Builder::new("INSERT INTO tag (name) ");
    query.push_values(names, |mut value, name| {
        value.push_bind(name.as_str());
    });
    query.push(" ON CONFLICT DO NOTHING");
    query.build().execute(&mut *connection).await?;
    let mut query = Builder::new("INSERT INTO asset_tag (asset, tag) SELECT ");
    query.push_bind(seq).push(", id FROM tag WHERE name IN (");
    let mut list = query.separated(", ");
    for name in names {
        list.push_bind(name.as_str());
    }
    query.push(")");
    query.build().execute(connection).await?;
    Ok(())
}

/// Add the entry of the history.
async fn record(connection: &mut Connection, created: &Asset, now: &str) -> Result<(), ApiError> {
    let after = serde_json::to_string(&Recorded {
        name: &created.name,
        kind: &created.kind,
        status: &created.status,
        description: &created.description,
        tags: &created.tags,
        config: &created.config,
        secret_ref: &created.secret_ref,
        managed_by: &created.managed_by,
        external_ref: &created.external_ref,
        depends_on: &created.depends_on,
    })?;
    let mut query = Builder::new(
        "INSERT INTO change (asset_id, name, version, action, actor, request_id, at, after) ",
    );
    query.push_values([created], |mut value, created| {
        value
            .push_bind(Key::from(created.id))
            .push_bind(&created.name)
            .push_bind(created.version)
            .push_bind("created")
            .push_bind("anonymous")
            .push_bind(Uuid::new_v4().simple().to_string()[..16].to_string())
            .push_bind(now)
            .push_bind(after.as_str());
    });
    query.build().execute(connection).await?;
    Ok(())
}
