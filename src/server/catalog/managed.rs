//! A drop as those who run it see it.

use super::{Catalog, reconcile::query_drops};
use crate::{
    domain::{SneakerDrop, error::DropError},
    server::database::{
        Pool,
        error::{fault, with_timeout},
        guard::PoolGuard,
    },
};
use serde::{Deserialize, Serialize};

/// A drop in any status, as the database has it, with the newest [`LISTED_PURCHASERS`](crate::domain::LISTED_PURCHASERS).
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ManagedDrop {
    #[serde(flatten)]
    pub(crate) drop: SneakerDrop,
    pub(crate) status: DropStatus,
    /// Rises with each edit.
    pub(crate) edit_version: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub(crate) enum DropStatus {
    /// Shown to nobody yet.
    Draft,
    Published,
    /// Shown to nobody any more.
    Archived,
}

impl Catalog {
    /// `None` if there is no such drop.
    pub(crate) async fn managed(pool: &Pool, drop_id: i64) -> Result<Option<ManagedDrop>, DropError> {
        let mut connection = PoolGuard::begin_snapshot(pool).await.map_err(fault)?;
        let read = with_timeout(query_drops(&mut connection, &[drop_id])).await?;
        Ok(read.into_iter().next().map(|read| read.managed))
    }
}
