//! Get, list and dependents.

use std::collections::{BTreeSet, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use serde_json::value::RawValue;
use sqlx::Row as _;
use uuid::Uuid;

use crate::ApiError;
use crate::db::{Builder, CONTAINS, Connection, Key};
use crate::model::{Asset, Reached, Reference};

const MAX_CAUSES: usize = 10;
/// Assets that a page counts; beyond, their number is not needed.
const COUNTED: i64 = 10_000;
/// Values of one statement.
const MAX_VALUES: usize = 1000;
const COLUMNS: &str = "seq, id, name, type, status, effective_status, description, config, \
    secret_ref, managed_by, external_ref, version, created_at, updated_at";

#[derive(sqlx::FromRow)]
pub struct AssetRow {
    pub seq: i64,
    pub id: Key,
    pub name: String,
    #[sqlx(rename = "type")]
    pub kind: String,
    pub status: String,
    pub effective_status: String,
    pub description: String,
    pub config: String,
    pub secret_ref: Option<String>,
    pub managed_by: String,
    pub external_ref: Option<String>,
    pub version: i32,
    pub created_at: String,
    pub updated_at: String,
}

/// Filters and order of a page.
#[derive(Default)]
pub struct Filters {
    pub kinds: Vec<String>,
    pub statuses: Vec<String>,
    pub effective_statuses: Vec<String>,
    pub managed_by: Vec<String>,
    pub tags: Vec<String>,
    pub q: Option<String>,
    pub sort: Sort,
}

#[derive(Default)]
pub struct Sort {
    /// None: the order of creation.
    pub column: Option<&'static str>,
    pub descending: bool,
}

pub struct Page {
    pub items: Vec<Asset>,
    pub total: Option<i64>,
    pub cursor: Option<String>,
}

/// Return an asset.
pub async fn one(connection: &mut Connection, id: Uuid) -> Result<Asset, ApiError> {
    let mut query = Builder::new(format!("SELECT {COLUMNS} FROM asset WHERE id = "));
    query.push_bind(Key::from(id));
    let row: AssetRow = query
        .build_query_as()
        .fetch_optional(&mut *connection)
        .await?
        .ok_or(ApiError::NotFound)?;
    Ok(loaded(connection, vec![row]).await?.remove(0))
}

/// Return a page, and the number of all assets that match unless there is a cursor.
pub async fn page(
    connection: &mut Connection,
    filters: &Filters,
    size: usize,
    cursor: Option<&str>,
) -> Result<Page, ApiError> {
    let mut total = None;
    if cursor.is_none() {
        let mut query = Builder::new("SELECT COUNT(*) FROM (SELECT 1 FROM asset WHERE 1 = 1");
        restrict(&mut query, filters);
        query.push(format!(" LIMIT {}) AS counted", COUNTED + 1));
        total = Some(
            query
                .build_query_scalar()
                .fetch_one(&mut *connection)
                .await?,
        );
    }
    let mut query = Builder::new(format!("SELECT {COLUMNS} FROM asset WHERE 1 = 1"));
    restrict(&mut query, filters);
    let direction = if filters.sort.descending {
        "DESC"
    } else {
        "ASC"
    };
    let behind = if filters.sort.descending { "<" } else { ">" };
    let place = cursor.map(decoded).transpose()?;
    match (filters.sort.column, place) {
        (Some(column), Some((Some(value), seq))) => {
            query
                .push(format!(" AND ({column}, seq) {behind} ("))
                .push_bind(value);
            query.push(", ").push_bind(seq).push(")");
        }
        (None, Some((None, seq))) => {
            query.push(format!(" AND seq {behind} ")).push_bind(seq);
        }
        (_, None) => {}
        _ => return Err(ApiError::Invalid("cursor: belongs to another query".into())),
    }
    query.push(" ORDER BY ");
    if let Some(column) = filters.sort.column {
        query.push(format!("{column} {direction}, "));
    }
    query
        .push(format!("seq {direction} LIMIT "))
        .push_bind(size as i64 + 1);
    let mut rows: Vec<AssetRow> = query.build_query_as().fetch_all(&mut *connection).await?;
    let more = rows.len() > size;
    rows.truncate(size);
    let cursor = more.then(|| encoded(&filters.sort, &rows[size - 1]));
    Ok(Page {
        items: loaded(connection, rows).await?,
        total,
        cursor,
    })
}

fn restrict<'a>(query: &mut Builder<'a>, filters: &'a Filters) {
    for (column, values) in [
        ("type", &filters.kinds),
        ("status", &filters.statuses),
        ("effective_status", &filters.effective_statuses),
        ("managed_by", &filters.managed_by),
    ] {
        if !values.is_empty() {
            query.push(format!(" AND {column}"));
            any_of(query, values.iter().map(String::as_str));
        }
    }
    for tag in &filters.tags {
        query.push(
            " AND EXISTS (SELECT 1 FROM asset_tag WHERE asset = asset.seq \
             AND tag = (SELECT id FROM tag WHERE name = ",
        );
        query.push_bind(tag.as_str()).push("))");
    }
    if let Some(q) = &filters.q {
        query
            .push(" AND ")
            .push(CONTAINS.0)
            .push_bind(q.to_lowercase())
            .push(CONTAINS.1);
    }
}

fn any_of<'a, T>(query: &mut Builder<'a>, values: impl Iterator<Item = T>)
where
    T: 'a + Send + sqlx::Encode<'a, crate::db::Db> + sqlx::Type<crate::db::Db>,
{
    query.push(" IN (");
    let mut list = query.separated(", ");
    for value in values {
        list.push_bind(value);
    }
    query.push(")");
}

fn encoded(sort: &Sort, last: &AssetRow) -> String {
    let value = match sort.column {
        None => None,
        Some("name") => Some(&last.name),
        Some(_) => Some(&last.updated_at),
    };
    URL_SAFE.encode(serde_json::json!([value, last.seq]).to_string())
}

fn decoded(cursor: &str) -> Result<(Option<String>, i64), ApiError> {
    let invalid = || ApiError::Invalid("cursor: is not one of this service".into());
    let bytes = URL_SAFE.decode(cursor).map_err(|_| invalid())?;
    serde_json::from_slice(&bytes).map_err(|_| invalid())
}

/// Return assets with their tags, dependencies and causes, in a few queries for all.
pub async fn loaded(
    connection: &mut Connection,
    rows: Vec<AssetRow>,
) -> Result<Vec<Asset>, ApiError> {
    if rows.is_empty() {
        return Ok(vec![]);
    }
    let seqs: Vec<i64> = rows.iter().map(|row| row.seq).collect();
    let mut query =
        Builder::new("SELECT asset, name FROM asset_tag JOIN tag ON id = tag WHERE asset");
    any_of(&mut query, seqs.iter().copied());
    query.push(" ORDER BY name");
    let mut tags: HashMap<i64, Vec<String>> = HashMap::new();
    for (seq, name) in query
        .build_query_as::<(i64, String)>()
        .fetch_all(&mut *connection)
        .await?
    {
        tags.entry(seq).or_default().push(name);
    }
    let mut query =
        Builder::new("SELECT src, id FROM dependency JOIN asset ON seq = dst WHERE src");
    any_of(&mut query, seqs.iter().copied());
    query.push(" ORDER BY dst");
    let mut targets: HashMap<i64, Vec<String>> = HashMap::new();
    for (seq, id) in query
        .build_query_as::<(i64, Key)>()
        .fetch_all(&mut *connection)
        .await?
    {
        targets
            .entry(seq)
            .or_default()
            .push(Uuid::from(id).to_string());
    }
    let mut query = Builder::new("SELECT src, ref FROM pending_dependency WHERE src");
    any_of(&mut query, seqs.iter().copied());
    query.push(" ORDER BY ref");
    let mut pending: HashMap<i64, Vec<String>> = HashMap::new();
    for (seq, name) in query
        .build_query_as::<(i64, String)>()
        .fetch_all(&mut *connection)
        .await?
    {
        pending.entry(seq).or_default().push(name);
    }
    // An asset that is Failed itself has causes too.
    let degraded: Vec<i64> = rows
        .iter()
        .filter(|row| matches!(row.effective_status.as_str(), "Degraded" | "Failed"))
        .map(|row| row.seq)
        .collect();
    let mut causes = causes(connection, &degraded).await?;
    rows.into_iter()
        .map(|row| {
            let unresolved = pending.remove(&row.seq).unwrap_or_default();
            let mut depends_on = targets.remove(&row.seq).unwrap_or_default();
            depends_on.extend(unresolved.iter().cloned());
            let mut caused_by = causes.remove(&row.seq).unwrap_or_default();
            let more_causes = caused_by.len() > MAX_CAUSES;
            caused_by.truncate(MAX_CAUSES);
            Ok(Asset {
                id: row.id.into(),
                name: row.name,
                kind: row.kind,
                status: row.status,
                effective_status: row.effective_status,
                caused_by,
                more_causes,
                description: row.description,
                tags: tags.remove(&row.seq).unwrap_or_default(),
                config: RawValue::from_string(row.config)?,
                secret_ref: row.secret_ref.map(RawValue::from_string).transpose()?,
                managed_by: row.managed_by,
                external_ref: row.external_ref,
                depends_on,
                unresolved,
                version: row.version,
                created_at: row.created_at,
                updated_at: row.updated_at,
            })
        })
        .collect()
}

/// Return the Failed and Inactive assets below each asset, the oldest first.
async fn causes(
    connection: &mut Connection,
    seqs: &[i64],
) -> Result<HashMap<i64, Vec<Reference>>, ApiError> {
    let mut found: HashMap<i64, Vec<Reference>> = HashMap::new();
    if seqs.is_empty() {
        return Ok(found);
    }
    let mut query = Builder::new(
        "WITH RECURSIVE below(origin, seq) AS (SELECT src, dst FROM dependency WHERE src",
    );
    any_of(&mut query, seqs.iter().copied());
    query.push(
        " UNION SELECT origin, dst FROM dependency JOIN below ON src = below.seq) \
         SELECT origin, asset.seq, id, name, type, status, external_ref \
         FROM below JOIN asset ON asset.seq = below.seq \
         WHERE status IN ('Failed', 'Inactive') ORDER BY origin, asset.seq",
    );
    for row in query.build().fetch_all(&mut *connection).await? {
        found.entry(row.get(0)).or_default().push(reference(&row));
    }
    Ok(found)
}

fn reference(row: &<crate::db::Db as sqlx::Database>::Row) -> Reference {
    Reference {
        id: row.get::<Key, _>("id").into(),
        name: row.get("name"),
        kind: row.get("type"),
        status: row.get("status"),
        external_ref: row.get("external_ref"),
    }
}

/// Return the nearest assets that depend on one, and how many do.
pub async fn dependents(
    connection: &mut Connection,
    id: Uuid,
    size: usize,
) -> Result<(Vec<Reached>, usize), ApiError> {
    let mut query = Builder::new("SELECT seq FROM asset WHERE id = ");
    query.push_bind(Key::from(id));
    let root: Option<i64> = query
        .build_query_scalar()
        .fetch_optional(&mut *connection)
        .await?;
    // Level by level: a recursive query with a depth visits an asset once for each depth.
    let mut depths: HashMap<i64, u32> = HashMap::new();
    let mut frontier = BTreeSet::from([root.ok_or(ApiError::NotFound)?]);
    let mut nearest: Vec<(u32, i64)> = vec![];
    for depth in 1.. {
        let level: Vec<i64> = frontier.into_iter().collect();
        frontier = BTreeSet::new();
        for part in level.chunks(MAX_VALUES) {
            let mut query = Builder::new("SELECT DISTINCT src FROM dependency WHERE dst");
            any_of(&mut query, part.iter().copied());
            let near: Vec<i64> = query
                .build_query_scalar()
                .fetch_all(&mut *connection)
                .await?;
            frontier.extend(near.into_iter().filter(|seq| !depths.contains_key(seq)));
        }
        if frontier.is_empty() {
            break;
        }
        depths.extend(frontier.iter().map(|&seq| (seq, depth)));
        nearest.extend(frontier.iter().map(|&seq| (depth, seq)));
    }
    nearest.truncate(size);
    if nearest.is_empty() {
        return Ok((vec![], 0));
    }
    let mut query =
        Builder::new("SELECT seq, id, name, type, status, external_ref FROM asset WHERE seq");
    any_of(&mut query, nearest.iter().map(|&(_, seq)| seq));
    let rows = query.build().fetch_all(&mut *connection).await?;
    let mut references: HashMap<i64, Reference> = rows
        .iter()
        .map(|row| (row.get("seq"), reference(row)))
        .collect();
    let items = nearest
        .into_iter()
        .filter_map(|(depth, seq)| {
            Some(Reached {
                asset: references.remove(&seq)?,
                depth,
            })
        })
        .collect();
    Ok((items, depths.len()))
}
