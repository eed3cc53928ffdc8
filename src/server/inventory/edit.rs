//! What the people who run a drop do with it, under the same lock as its sales.

use super::{
    audit::{self, Actor, NewChange},
    edited::Edited,
    handle::Inventory,
    new_drop::{Description, DropName, IdempotencyKey, ImageUrl, Label, NewSizes, Pairs, PriceCents, SaleTime},
    statements::LockMode,
    transaction::{LockedDrop, TRANSACTION_TIMEOUT},
};
use crate::{
    domain::{
        edit::{EditError, Refusal},
        error::{DropError, Missing},
    },
    server::{catalog::ManagedDrop, database::error::fault},
};
use serde_json::json;
use tokio::time::timeout;

/// A change of a drop, and who makes it.
pub(crate) struct Edit {
    pub(crate) actor: Actor,
    pub(crate) seen: Seen,
    /// A repetition with the same key changes nothing.
    pub(crate) key: Option<IdempotencyKey>,
    pub(crate) action: Action,
}

/// Which edit version of the drop the caller saw. If it is edited meanwhile, nothing is changed.
#[derive(Clone, Copy)]
pub(crate) enum Seen {
    /// It does not matter.
    Any,
    Version(i64),
    /// This one, and what the same actor edited since.
    VersionAndOwnEdits(i64),
}

impl From<Option<i64>> for Seen {
    fn from(edit_version: Option<i64>) -> Self {
        edit_version.map_or(Self::Any, Self::Version)
    }
}

pub(crate) enum Action {
    Change(Box<Fields>),
    /// A draft, or what was archived, is shown.
    Publish,
    /// A drop that has not started becomes a draft again.
    Unpublish,
    /// Nobody can reserve; holders can still buy.
    Pause,
    Resume,
    EndNow,
    /// A draft, or a drop that is over, is shown no more.
    Archive,
    Stock(PairsMoved),
    /// The pair of a purchase returns to stock, or leaves the total.
    Cancel {
        purchase_id: i64,
        reason: Label<200>,
        restock: bool,
    },
    /// Why a purchase was cancelled is forgotten.
    RemoveReason {
        purchase_id: i64,
    },
}

/// The fields of a drop that are to be changed.
#[derive(Default)]
pub(crate) struct Fields {
    pub(crate) name: Option<DropName>,
    pub(crate) description: Option<Description>,
    pub(crate) price: Option<PriceCents>,
    pub(crate) image_url: Option<Option<ImageUrl>>,
    pub(crate) limit_per_user: Option<Option<Pairs>>,
    pub(crate) starts_at: Option<SaleTime>,
    pub(crate) ends_at: Option<Option<SaleTime>>,
    /// Of a draft alone. What is published has [`PairsMoved`].
    pub(crate) sizes: Option<NewSizes>,
}

/// Pairs that come into the stock of a size, or are taken out of it.
pub(crate) struct PairsMoved {
    pub(crate) size: Label<20>,
    pub(crate) pairs: Pairs,
    pub(crate) kind: Move,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Move {
    Add,
    /// As a size that the drop does not have yet.
    AddSize,
    /// Of the available ones.
    TakeBack,
}

/// Changes a drop, and returns it as the transaction of the edit had it. A repetition of what is so already changes nothing.
pub(crate) async fn edit(inventory: &Inventory, drop_id: i64, edit: Edit) -> Result<ManagedDrop, EditError> {
    let inventory = inventory.clone();
    let bounded = async move {
        timeout(TRANSACTION_TIMEOUT, transact(&inventory, drop_id, edit))
            .await
            .unwrap_or(Err(DropError::Unknown.into()))
    };
    // In a task of its own: a caller that goes away must not stop it between the commit and its publication.
    tokio::spawn(bounded).await.unwrap_or_else(|panic| {
        tracing::error!(%panic, drop_id, "an edit panicked");
        Err(DropError::Internal.into())
    })
}

async fn transact(inventory: &Inventory, drop_id: i64, edit: Edit) -> Result<ManagedDrop, EditError> {
    let known_version = inventory.catalog.version(drop_id);
    let drop = LockedDrop::enter(&inventory.pool, drop_id, &[], LockMode::Wait).await.map_err(DropError::from)?;
    let mut drop = drop.ok_or(DropError::NotFound(Missing::Drop))?;
    let written = write(&mut drop, drop_id, edit).await.map_err(fault)?;
    let mut drop = drop.write(inventory.reservation_ttl).await.map_err(DropError::from)?;
    // Before the commit: after it, an error could not say any more that nothing was changed.
    let read = inventory.catalog.query(drop.connection(), &[drop_id]).await.map_err(fault)?;
    let read = read.into_iter().next().ok_or(DropError::NotFound(Missing::Drop))?;
    let managed = read.managed.clone();
    // After a refusal nothing was written but what was due.
    let committed = drop.commit().await.map_err(DropError::from)?;
    inventory.publish_edit(committed, read, known_version);
    written.map(|()| managed)
}

/// Writes the edit and its log entry.
async fn write(drop: &mut LockedDrop, drop_id: i64, edit: Edit) -> Result<Result<(), EditError>, sqlx::Error> {
    let before = Edited::read(drop.connection(), drop_id).await?;
    if let Some(key) = &edit.key
        && audit::has_key(drop.connection(), drop_id, key).await?
    {
        return Ok(Ok(()));
    }
    let is_edited_meanwhile = match edit.seen {
        Seen::Any => false,
        Seen::Version(seen) => seen != before.edit_version,
        Seen::VersionAndOwnEdits(seen) => audit::others_edited(drop.connection(), drop_id, seen, edit.actor).await?,
    };
    if is_edited_meanwhile {
        return Ok(Err(EditError::EditedMeanwhile { edit_version: before.edit_version }));
    }
    let now = drop.state.now;
    let of_a_purchase = match &edit.action {
        Action::Cancel { purchase_id, reason, restock } => {
            Some(cancel(drop, drop_id, *purchase_id, reason.clone().into(), *restock).await?)
        }
        Action::RemoveReason { purchase_id } => Some(remove_reason(drop, drop_id, *purchase_id).await?),
        _ => None,
    };
    if let Some(outcome) = of_a_purchase {
        let change = match outcome {
            Ok(Some(change)) => change,
            Ok(None) => return Ok(Ok(())),
            Err(refusal) => return Ok(Err(refusal.into())),
        };
        let edit_version = before.edit_version + i64::from(!change.after.is_null());
        audit::log(drop.connection(), drop_id, edit.actor, now, NewChange { edit_version, ..change }).await?;
        if let Action::RemoveReason { purchase_id } = edit.action {
            audit::remove_reason(drop.connection(), drop_id, purchase_id).await?;
        }
        return Ok(Ok(()));
    }
    let mut after = before.clone();
    let action = match after.apply(edit.action, &drop.state) {
        Ok(action) => action,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if after == before {
        return Ok(Ok(()));
    }
    after.edit_version += 1;
    after.write(&before, drop, drop_id).await?;
    let (before, after, edit_version) = before.differences(&after);
    let change = NewChange { action, edit_version, before, after, key: edit.key, ..NewChange::default() };
    audit::log(drop.connection(), drop_id, edit.actor, now, change).await?;
    Ok(Ok(()))
}

/// What was done to a purchase, if it was not so before.
type Outcome = Result<Option<NewChange>, Refusal>;

async fn cancel(
    drop: &mut LockedDrop,
    drop_id: i64,
    purchase_id: i64,
    reason: String,
    restock: bool,
) -> Result<Outcome, sqlx::Error> {
    let now = drop.state.now;
    let known = sqlx::query!(
        "select status, user_id, size_id from purchases where id = $1 and drop_id = $2",
        purchase_id,
        drop_id
    );
    let Some(known) = known.fetch_optional(drop.connection()).await? else { return Ok(Err(Refusal::NoSuchPurchase)) };
    if known.status == "cancelled" {
        return Ok(Ok(None));
    }
    sqlx::query!(
        "update purchases set status = 'cancelled', cancelled_at = $2, cancel_reason = $3 where id = $1",
        purchase_id,
        now,
        reason
    )
    .execute(drop.connection())
    .await?;
    let change = NewChange {
        action: "cancelled",
        reason: Some(reason),
        purchase_id: Some(purchase_id),
        user_id: Some(known.user_id),
        ..NewChange::default()
    };
    if restock {
        drop.take_back(known.size_id);
        return Ok(Ok(Some(change)));
    }
    let (label, total) = drop.take_out(known.size_id).await?;
    let sizes = |total: i32| json!({ "sizes": { &*label: total } });
    Ok(Ok(Some(NewChange { before: sizes(total + 1), after: sizes(total), ..change })))
}

async fn remove_reason(drop: &mut LockedDrop, drop_id: i64, purchase_id: i64) -> Result<Outcome, sqlx::Error> {
    let known = sqlx::query_scalar!(
        r#"select cancel_reason is not null as "has_reason!" from purchases where id = $1 and drop_id = $2"#,
        purchase_id,
        drop_id
    );
    let Some(has_reason) = known.fetch_optional(drop.connection()).await? else {
        return Ok(Err(Refusal::NoSuchPurchase));
    };
    if !has_reason {
        return Ok(Ok(None));
    }
    sqlx::query!("update purchases set cancel_reason = null where id = $1", purchase_id)
        .execute(drop.connection())
        .await?;
    drop.mark_edited();
    let change = NewChange { action: "reason_removed", purchase_id: Some(purchase_id), ..NewChange::default() };
    Ok(Ok(Some(change)))
}
