//! One batch, one transaction: all that waited for a drop is decided under one lock and committed together.

use super::{
    LockedDrop, TRANSACTION_TIMEOUT,
    combine::{Order, Outcome},
    locked::{Committed, Entrant, Failure, News},
    purchase::{self, Purchase, Purchased},
    release::{self, Release, Released},
    reserve::{self, Granted, Reserve},
};
use crate::{
    domain::error::{DropError, Missing},
    server::AppState,
};
use tokio::time::timeout;

/// Orders of one drop, at most one of each user and kind.
///
/// They all came while the batch before was under way, so that any order among them is one in which they could have
/// arrived; what goes back comes first, for others to take.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) releases: Vec<Release>,
    pub(super) purchases: Vec<Purchase>,
    pub(super) reserves: Vec<Reserve>,
}

struct Outcomes {
    released: Vec<Result<Released, DropError>>,
    purchased: Vec<Result<Purchased, DropError>>,
    granted: Vec<Result<Granted, DropError>>,
    new_stock: i32,
}

/// Runs a batch to its end and tells every caller. Returns an error when it is not the batch's own, but everyone's who
/// waits for this drop.
pub(super) async fn run(state: AppState, drop_id: i64, batch: Batch) -> Result<(), DropError> {
    match attempt(&state, drop_id, &batch).await {
        Ok((outcomes, news)) => {
            // First those who wait for it.
            batch.answer(outcomes);
            news.tell(&state);
        }
        Err(Failure::Anyones(cause)) if batch.len() > 1 => {
            // Nothing was committed, and only one of them may be to blame: each on its own.
            tracing::warn!(%cause, drop_id, orders = batch.len(), "a batch failed");
            let mut singles = batch.singles();
            while let Some(single) = singles.next() {
                if let Err(error) = Box::pin(run(state.clone(), drop_id, single)).await {
                    singles.for_each(|single| single.refuse(&error));
                    return Err(error);
                }
            }
        }
        Err(failure) => {
            let error = DropError::from(failure);
            if error == DropError::Unknown {
                state.catalog.doubt(drop_id);
            }
            batch.refuse(&error);
            if error == DropError::Unavailable {
                return Err(error);
            }
        }
    }
    Ok(())
}

async fn attempt(state: &AppState, drop_id: i64, batch: &Batch) -> Result<(Outcomes, News), Failure> {
    timeout(TRANSACTION_TIMEOUT, transact(state, drop_id, batch)).await.unwrap_or_else(|_| {
        tracing::error!(drop_id, "a batch did not end in time");
        Err(Failure::Everyones(DropError::Unknown))
    })
}

async fn transact(state: &AppState, drop_id: i64, batch: &Batch) -> Result<(Outcomes, News), Failure> {
    let user_ids = batch.user_ids();
    let entrant = Entrant::Users(&user_ids);
    let Some((mut drop, mut standings)) = LockedDrop::enter(state, drop_id, entrant).await? else {
        return Err(Failure::Everyones(DropError::NotFound(Missing::Drop)));
    };
    let released = release::cancel(&mut drop, &mut standings, &batch.releases).await?;
    let purchased = purchase::sell(&mut drop, &mut standings, &batch.purchases).await?;
    let decisions = reserve::decide(&mut drop, &standings, &batch.reserves);
    let new_stock = drop.available();
    let Committed { made, news } = drop.commit().await?;
    let granted = reserve::outcomes(&batch.reserves, decisions, made);
    let outcomes = Outcomes { released, purchased, granted, new_stock };
    if let Some(granted) = outcomes.granted.iter().flatten().find(|granted| !granted.was_held) {
        state.expiry.expect(granted.reservation.expires_at);
    }
    Ok((outcomes, news))
}

impl Batch {
    /// How many orders.
    pub(super) fn len(&self) -> usize {
        self.releases.len() + self.purchases.len() + self.reserves.len()
    }

    fn user_ids(&self) -> Vec<i64> {
        let mut user_ids: Vec<_> = self.releases.iter().map(|order| order.user_id).collect();
        user_ids.extend(self.purchases.iter().map(|order| order.user_id));
        user_ids.extend(self.reserves.iter().map(|order| order.user_id));
        user_ids.sort_unstable();
        user_ids.dedup();
        user_ids
    }

    fn singles(self) -> impl Iterator<Item = Self> + Send {
        let releases = self.releases.into_iter().map(|order| Self { releases: vec![order], ..Self::default() });
        let purchases = self.purchases.into_iter().map(|order| Self { purchases: vec![order], ..Self::default() });
        let reserves = self.reserves.into_iter().map(|order| Self { reserves: vec![order], ..Self::default() });
        releases.chain(purchases).chain(reserves)
    }

    fn answer(self, outcomes: Outcomes) {
        let new_stock = outcomes.new_stock;
        tell(self.releases, outcomes.released.into_iter().map(|it| it.map(|it| Released { new_stock, ..it })));
        tell(self.purchases, outcomes.purchased.into_iter().map(|it| it.map(|it| Purchased { new_stock, ..it })));
        tell(self.reserves, outcomes.granted.into_iter().map(|it| it.map(|it| Granted { new_stock, ..it })));
    }

    fn refuse(self, error: &DropError) {
        tell(self.releases, std::iter::repeat_with(|| Err(error.clone())));
        tell(self.purchases, std::iter::repeat_with(|| Err(error.clone())));
        tell(self.reserves, std::iter::repeat_with(|| Err(error.clone())));
    }
}

fn tell<W, T: Outcome>(orders: Vec<Order<W, T>>, outcomes: impl Iterator<Item = Result<T, DropError>>) {
    std::iter::zip(orders, outcomes).for_each(|(order, outcome)| order.answer(outcome));
}
