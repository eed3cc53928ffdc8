//! One batch, one transaction: the commands that gathered for a drop are decided under one lock and committed together.

use super::{
    Inventory,
    batcher::{Command, Reply},
    purchase::{self, Purchase, Purchased},
    release::{self, Release, Released},
    reserve::{self, Granted, Reserve},
    transaction::{BatchError, Committed, LockMode, LockedDrop, TRANSACTION_TIMEOUT},
};
use crate::{
    domain::error::{DropError, Missing},
    server::catalog::change::Notification,
};
use tokio::time::timeout;

/// Commands of one drop, at most one of each kind and user.
///
/// All of them arrived while the previous batch was under way, so any order among them is one in which they could have
/// arrived. Releases come first, so that their pairs can be reserved in the same batch.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) releases: Vec<Release>,
    pub(super) purchases: Vec<Purchase>,
    pub(super) reserves: Vec<Reserve>,
}

struct Replies {
    released: Vec<Result<Released, DropError>>,
    purchased: Vec<Result<Purchased, DropError>>,
    granted: Vec<Result<Granted, DropError>>,
    new_stock: i32,
}

/// Runs a batch and answers every caller. Returns an error if it also concerns the commands that wait for this drop.
pub(super) async fn run(inventory: Inventory, drop_id: i64, batch: Batch) -> Result<(), DropError> {
    match attempt(&inventory, drop_id, &batch).await {
        Ok((replies, notifications)) => {
            // The callers wait for their replies, so those come first.
            batch.answer(replies);
            inventory.notify(notifications);
        }
        Err(BatchError::RetrySingly(cause)) if batch.len() > 1 => {
            tracing::warn!(%cause, drop_id, commands = batch.len(), "a batch failed; its commands are retried one by one");
            let mut singles = batch.singles();
            while let Some(single) = singles.next() {
                if let Err(error) = Box::pin(run(inventory.clone(), drop_id, single)).await {
                    singles.for_each(|single| single.refuse(&error));
                    return Err(error);
                }
            }
        }
        Err(error) => {
            let error = DropError::from(error);
            if error == DropError::Unknown {
                inventory.catalog.mark_uncertain(drop_id);
            }
            batch.refuse(&error);
            if error == DropError::Unavailable {
                return Err(error);
            }
        }
    }
    Ok(())
}

async fn attempt(
    inventory: &Inventory,
    drop_id: i64,
    batch: &Batch,
) -> Result<(Replies, Vec<Notification>), BatchError> {
    timeout(TRANSACTION_TIMEOUT, transact(inventory, drop_id, batch)).await.unwrap_or_else(|_| {
        tracing::error!(drop_id, "a batch did not end within its timeout");
        Err(BatchError::Fatal(DropError::Unknown))
    })
}

async fn transact(
    inventory: &Inventory,
    drop_id: i64,
    batch: &Batch,
) -> Result<(Replies, Vec<Notification>), BatchError> {
    let user_ids = batch.user_ids();
    let mode = LockMode::Wait(&user_ids);
    let Some((mut drop, mut user_states)) = LockedDrop::enter(inventory, drop_id, mode).await? else {
        return Err(BatchError::Fatal(DropError::NotFound(Missing::Drop)));
    };
    let released = release::cancel(&mut drop, &mut user_states, &batch.releases).await?;
    let purchased = purchase::sell(&mut drop, &mut user_states, &batch.purchases).await?;
    let decisions = reserve::decide(&mut drop, &user_states, &batch.reserves);
    let new_stock = drop.available();
    let Committed { created, notifications } = drop.commit().await?;
    let granted = reserve::replies(&batch.reserves, decisions, created);
    let replies = Replies { released, purchased, granted, new_stock };
    if let Some(granted) = replies.granted.iter().flatten().find(|granted| !granted.was_held) {
        inventory.expiry_timer.expect(granted.reservation.expires_at);
    }
    Ok((replies, notifications))
}

impl Batch {
    pub(super) fn len(&self) -> usize {
        self.releases.len() + self.purchases.len() + self.reserves.len()
    }

    fn user_ids(&self) -> Vec<i64> {
        let mut user_ids: Vec<_> = self.releases.iter().map(|command| command.user_id).collect();
        user_ids.extend(self.purchases.iter().map(|command| command.user_id));
        user_ids.extend(self.reserves.iter().map(|command| command.user_id));
        user_ids.sort_unstable();
        user_ids.dedup();
        user_ids
    }

    fn singles(self) -> impl Iterator<Item = Self> + Send {
        let releases = self.releases.into_iter().map(|command| Self { releases: vec![command], ..Self::default() });
        let purchases = self.purchases.into_iter().map(|command| Self { purchases: vec![command], ..Self::default() });
        let reserves = self.reserves.into_iter().map(|command| Self { reserves: vec![command], ..Self::default() });
        releases.chain(purchases).chain(reserves)
    }

    fn answer(self, replies: Replies) {
        let new_stock = replies.new_stock;
        answer(
            self.releases,
            replies.released.into_iter().map(|reply| reply.map(|released| Released { new_stock, ..released })),
        );
        answer(
            self.purchases,
            replies.purchased.into_iter().map(|reply| reply.map(|purchased| Purchased { new_stock, ..purchased })),
        );
        answer(
            self.reserves,
            replies.granted.into_iter().map(|reply| reply.map(|granted| Granted { new_stock, ..granted })),
        );
    }

    fn refuse(self, error: &DropError) {
        answer(self.releases, std::iter::repeat_with(|| Err(error.clone())));
        answer(self.purchases, std::iter::repeat_with(|| Err(error.clone())));
        answer(self.reserves, std::iter::repeat_with(|| Err(error.clone())));
    }
}

fn answer<P, R: Reply>(commands: Vec<Command<P, R>>, replies: impl Iterator<Item = Result<R, DropError>>) {
    std::iter::zip(commands, replies).for_each(|(command, reply)| command.answer(reply));
}
