//! The database of this build, and where SQLite and PostgreSQL differ.

use sqlx::{Pool, Transaction};
use tokio::sync::{Mutex, MutexGuard};

#[cfg(feature = "sqlite")]
mod chosen {
    use sqlx::sqlite::{
        SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
    };
    use std::str::FromStr;

    pub type Db = sqlx::Sqlite;
    /// An id as the column has it: 32 hexadecimal digits.
    pub type Key = uuid::fmt::Simple;
    pub const CONTAINS: (&str, &str) = ("INSTR(search, ", ") > 0");
    pub const BEGIN_WRITE: &str = "BEGIN IMMEDIATE";

    pub async fn pool(url: &str, connections: u32) -> Result<sqlx::SqlitePool, sqlx::Error> {
        let options = SqliteConnectOptions::from_str(url)?
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .foreign_keys(true)
            .pragma("cache_size", "-8192");
        SqlitePoolOptions::new()
            .max_connections(connections)
            .connect_with(options)
            .await
    }
}

#[cfg(not(feature = "sqlite"))]
mod chosen {
    pub type Db = sqlx::Postgres;
    pub type Key = uuid::Uuid;
    pub const CONTAINS: (&str, &str) = ("STRPOS(search, ", ") > 0");
    pub const BEGIN_WRITE: &str = "BEGIN";

    pub async fn pool(url: &str, connections: u32) -> Result<sqlx::PgPool, sqlx::Error> {
        sqlx::postgres::PgPoolOptions::new()
            .max_connections(connections)
            .connect(url)
            .await
    }
}

pub use chosen::{CONTAINS, Db, Key, pool};

pub type Builder<'a> = sqlx::QueryBuilder<'a, Db>;
pub type Connection = <Db as sqlx::Database>::Connection;

/// The pool. One task at a time writes to SQLite, else writers wait in its back-off.
pub struct Store {
    pub pool: Pool<Db>,
    writer: Mutex<()>,
}

impl Store {
    pub fn new(pool: Pool<Db>) -> Self {
        Self {
            pool,
            writer: Mutex::new(()),
        }
    }

    /// Begin a transaction that may write.
    pub async fn writing(
        &self,
    ) -> Result<(Transaction<'static, Db>, Option<MutexGuard<'_, ()>>), sqlx::Error> {
        let turn = if cfg!(feature = "sqlite") {
            Some(self.writer.lock().await)
        } else {
            None
        };
        Ok((self.pool.begin_with(chosen::BEGIN_WRITE).await?, turn))
    }
}
