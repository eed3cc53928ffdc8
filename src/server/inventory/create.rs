//! Creating a drop.

use super::{
    audit::{self, Actor, NewChange},
    handle::Inventory,
    new_drop::NewDrop,
    transaction::TRANSACTION_TIMEOUT,
};
use crate::{
    domain::{Size, SneakerDrop, Timestamp, error::DropError},
    server::database::{
        error::{commit_fault, fault},
        guard::PoolGuard,
    },
};
use serde_json::json;
use sqlx::PgConnection;
use std::collections::BTreeMap;
use tokio::time::timeout;

pub(crate) struct Created {
    pub(crate) drop: SneakerDrop,
    /// Whether it was created now, and not by an earlier request with the same idempotency key.
    pub(crate) is_new: bool,
}

/// Creates a drop and adds it to the catalog, unless it is a draft.
pub(crate) async fn create(inventory: &Inventory, new: NewDrop, actor: Actor) -> Result<Created, DropError> {
    let inventory = inventory.clone();
    let is_draft = new.is_draft;
    let transaction = async move {
        let key = new.idempotency_key.as_ref().map(|key| key.0.clone());
        let mut transaction = PoolGuard::begin(&inventory.pool).await.map_err(fault)?;
        let Some(drop) = insert(&mut transaction, new, actor).await.map_err(fault)? else {
            transaction.rollback().await.map_err(fault)?;
            transaction.put_back();
            let drop = inventory.catalog.read_created(&inventory.pool, &key.unwrap_or_default()).await?;
            return Ok(Created { drop: drop.ok_or(DropError::Unavailable)?, is_new: false });
        };
        transaction.commit().await.map_err(commit_fault)?;
        transaction.put_back();
        if !is_draft {
            inventory.catalog.insert(drop.clone());
        }
        Ok(Created { drop, is_new: true })
    };
    let bounded = async { timeout(TRANSACTION_TIMEOUT, transaction).await.unwrap_or(Err(DropError::Unknown)) };
    // In a task of its own: a caller that goes away must not stop it between the commit and the catalog.
    tokio::spawn(bounded).await.unwrap_or_else(|panic| {
        tracing::error!(%panic, "a transaction panicked");
        Err(DropError::Internal)
    })
}

/// Inserts a drop and its sizes in the caller's transaction; `None` if its idempotency key has a drop already.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    new: NewDrop,
    actor: Actor,
) -> Result<Option<SneakerDrop>, sqlx::Error> {
    let name = String::from(new.name);
    let image_url = new.image_url.map(String::from);
    let price_cents = new.price.get() as i32;
    let limit_per_user = new.limit_per_user.map(|limit| limit.get() as i32);
    let status = if new.is_draft { "draft" } else { "published" };
    let row = sqlx::query!(
        "insert into drops (name, price_cents, image_url, limit_per_user, starts_at, ends_at, idempotency_key, status)
         values ($1, $2, $3, $4, coalesce($5, clock_timestamp()), $6, $7, $8)
         on conflict on constraint drops_idempotency_key_unique do nothing
         returning id, version, edit_version, starts_at, ends_at, created_at",
        name,
        price_cents,
        image_url,
        limit_per_user,
        new.sale.starts_at,
        new.sale.ends_at,
        new.idempotency_key.map(|key| key.0),
        status
    );
    let Some(row) = row.fetch_optional(&mut *connection).await? else { return Ok(None) };
    let (labels, stocks): (Vec<String>, Vec<i32>) =
        new.sizes.0.into_iter().map(|size| (size.label.into(), size.stock.get() as i32)).unzip();
    sqlx::query!(
        "insert into drop_sizes (drop_id, label, position, total_stock, available_stock)
             select $1, label, position, stock, stock
             from unnest($2::text[], $3::integer[]) with ordinality as new (label, stock, position)",
        row.id,
        &labels,
        &stocks
    )
    .execute(&mut *connection)
    .await?;
    let description = new.description.0;
    audit::set_description(connection, row.id, &description).await?;
    let sizes: BTreeMap<_, _> = std::iter::zip(&labels, &stocks).collect();
    let after = json!({
        "name": name, "description": description, "price_cents": price_cents, "image_url": image_url,
        "limit_per_user": limit_per_user, "starts_at": Timestamp::from(row.starts_at),
        "ends_at": row.ends_at.map(Timestamp::from), "status": status, "sizes": sizes,
    });
    let created = NewChange { action: "created", edit_version: row.edit_version, after, ..NewChange::default() };
    audit::log(connection, row.id, actor, row.created_at, created).await?;

    let sizes = std::iter::zip(labels, stocks);
    let sizes: Vec<_> =
        sizes.map(|(label, stock)| Size { label, total_stock: stock, available_stock: stock }).collect();
    let stock = sizes.iter().map(|size| size.total_stock).sum();
    Ok(Some(SneakerDrop {
        id: row.id,
        name,
        description,
        price_cents,
        image_url,
        limit_per_user,
        version: row.version,
        starts_at: row.starts_at.into(),
        ends_at: row.ends_at.map(Into::into),
        paused: false,
        total_stock: stock,
        available_stock: stock,
        held_stock: 0,
        sizes,
        latest_purchasers: vec![],
    }))
}
