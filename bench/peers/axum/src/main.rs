//! The registry's peer: axum and sqlx on the registry's own database.
//!
//! It has only what the benchmark asks for: get, list, create, dependents. `DATABASE_URL` is the
//! database, `PORT` the port of 127.0.0.1.

mod creation;
mod db;
mod model;
mod reads;

use std::sync::Arc;

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use uuid::Uuid;

use crate::db::Store;
use crate::model::{Asset, NewAsset};
use crate::reads::{Filters, Sort};

/// Connections to the database, as many as the registry's threads.
const CONNECTIONS: u32 = 8;
const ASSETS: &str = "/api/v1/assets";

pub enum ApiError {
    NotFound,
    Invalid(String),
    Body(JsonRejection),
    Defect(String),
}

impl From<sqlx::Error> for ApiError {
    fn from(error: sqlx::Error) -> Self {
        Self::Defect(error.to_string())
    }
}

impl From<serde_json::Error> for ApiError {
    fn from(error: serde_json::Error) -> Self {
        Self::Defect(error.to_string())
    }
}

impl From<JsonRejection> for ApiError {
    fn from(error: JsonRejection) -> Self {
        Self::Body(error)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        match self {
            Self::NotFound => (StatusCode::NOT_FOUND, "no asset has this id").into_response(),
            Self::Invalid(why) => (StatusCode::UNPROCESSABLE_ENTITY, why).into_response(),
            Self::Body(rejection) => rejection.into_response(),
            Self::Defect(why) => {
                eprintln!("{why}");
                (StatusCode::INTERNAL_SERVER_ERROR, "defect").into_response()
            }
        }
    }
}

type Shared = State<Arc<Store>>;
type Pairs = Query<Vec<(String, String)>>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pool = db::pool(&std::env::var("DATABASE_URL")?, CONNECTIONS).await?;
    let app = Router::new()
        .route("/readyz", get(|| async { "ok" }))
        .route(ASSETS, get(list).post(create))
        .route("/api/v1/assets/{id}", get(one))
        .route("/api/v1/assets/{id}/dependents", get(dependents))
        .with_state(Arc::new(Store::new(pool)));
    let address = format!("127.0.0.1:{}", std::env::var("PORT")?);
    let listener = tokio::net::TcpListener::bind(address).await?;
    axum::serve(listener, app)
        .with_graceful_shutdown(stopped())
        .await?;
    Ok(())
}

async fn stopped() {
    let mut signals = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .expect("SIGTERM can be handled");
    signals.recv().await;
}

async fn one(State(store): Shared, Path(id): Path<Uuid>) -> Result<Json<Asset>, ApiError> {
    let mut connection = store.pool.acquire().await?;
    Ok(Json(reads::one(&mut connection, id).await?))
}

async fn list(State(store): Shared, Query(pairs): Pairs) -> Result<Response, ApiError> {
    let (filters, size, cursor) = parameters(pairs)?;
    let mut connection = store.pool.acquire().await?;
    let page = reads::page(&mut connection, &filters, size, cursor.as_deref()).await?;
    let mut pagination = serde_json::json!({"page_size": size, "next_cursor": page.cursor});
    if let Some(total) = page.total {
        pagination["total"] = total.into();
    }
    Ok(([("X-Pagination", pagination.to_string())], Json(page.items)).into_response())
}

fn parameters(pairs: Vec<(String, String)>) -> Result<(Filters, usize, Option<String>), ApiError> {
    let (mut filters, mut size, mut cursor) = (Filters::default(), 50, None);
    for (name, value) in pairs {
        match name.as_str() {
            "type" => filters.kinds.push(value),
            "status" => filters.statuses.push(value),
            "effective_status" => filters.effective_statuses.push(value),
            "managed_by" => filters.managed_by.push(value),
            "tag" => filters.tags.push(value),
            "q" => filters.q = Some(value),
            "sort" => filters.sort = sort(&value)?,
            "page_size" => size = page_size(&value)?,
            "cursor" => cursor = Some(value),
            _ => return Err(ApiError::Invalid(format!("{name}: unknown parameter"))),
        }
    }
    Ok((filters, size, cursor))
}

fn sort(text: &str) -> Result<Sort, ApiError> {
    let (descending, key) = match text.strip_prefix('-') {
        Some(key) => (true, key),
        None => (false, text),
    };
    let column = match key {
        "created_at" => None,
        "updated_at" => Some("updated_at"),
        "name" => Some("name"),
        _ => return Err(ApiError::Invalid("sort: unknown key".into())),
    };
    Ok(Sort { column, descending })
}

fn page_size(text: &str) -> Result<usize, ApiError> {
    match text.parse() {
        Ok(size @ 1..=500) => Ok(size),
        _ => Err(ApiError::Invalid("page_size: must be 1 to 500".into())),
    }
}

async fn create(
    State(store): Shared,
    body: Result<Json<NewAsset>, JsonRejection>,
) -> Result<Response, ApiError> {
    let Json(new) = body?;
    new.check().map_err(ApiError::Invalid)?;
    let (mut transaction, _turn) = store.writing().await?;
    let created = creation::create(&mut transaction, new).await?;
    transaction.commit().await?;
    let location = format!("{ASSETS}/{}", created.id);
    Ok((
        StatusCode::CREATED,
        [(header::LOCATION, location)],
        Json(created),
    )
        .into_response())
}

async fn dependents(
    State(store): Shared,
    Path(id): Path<Uuid>,
    Query(pairs): Pairs,
) -> Result<Response, ApiError> {
    let mut size = 500;
    for (name, value) in pairs {
        match name.as_str() {
            "page_size" => size = page_size(&value)?,
            _ => return Err(ApiError::Invalid(format!("{name}: unknown parameter"))),
        }
    }
    let mut connection = store.pool.acquire().await?;
    let (items, total) = reads::dependents(&mut connection, id, size).await?;
    let pagination = serde_json::json!({"page_size": size, "total": total});
    Ok(([("X-Pagination", pagination.to_string())], Json(items)).into_response())
}
