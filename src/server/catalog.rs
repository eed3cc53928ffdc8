//! This node's view of every drop, in memory: reads cost no query.
//!
//! It is loaded from the database with two queries and moves with every commit of this node, at once. What other nodes
//! commit, and what this node committed without hearing the answer, [`Catalog::reconcile`] picks up: the same two
//! queries, asking only for drops whose version differs. Versions decide: an older state never replaces a newer one.

use super::{
    database::{Loan, bounded, fault},
    inventory::StockChange,
};
use crate::{
    domain::{
        Frame, LATEST_PURCHASERS, LISTED_PURCHASERS, Purchaser, Reason, Size, SizeLevel, SneakerDrop, StockUpdate,
        User, add_purchaser,
    },
    error::DropError,
};
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::{Duration, Instant},
};
use tokio::sync::Notify;

/// Every drop by its id, and what of it the sockets have not been told yet.
#[derive(Default)]
pub struct Catalog {
    drops: RwLock<BTreeMap<i64, Entry>>,
    clock: Mutex<DatabaseClock>,
    changed: Notify,
}

struct Entry {
    drop: SneakerDrop,
    /// Newest first; the first few are also in `drop`.
    purchasers: Vec<Purchaser>,
    pending: Pending,
}

/// What happened to a drop since the last flush.
#[derive(Default)]
struct Pending {
    is_new: bool,
    reason: Option<Reason>,
    /// The sizes that moved, even if they are back where they were: a socket may have come in between.
    moved_sizes: BTreeSet<String>,
    purchases: Vec<Purchaser>,
}

impl Catalog {
    /// The database's time, as far as we know: it is read with each reconciliation.
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner).now()
    }

    /// Every drop, in the order of their start.
    pub fn drops(&self) -> Vec<SneakerDrop> {
        let mut drops: Vec<_> = self.read().values().map(|entry| entry.drop.clone()).collect();
        drops.sort_by_key(|drop| (drop.starts_at, drop.id));
        drops
    }

    /// The drops that a visitor could reserve from now: in their window, with stock left.
    pub fn open_drops(&self) -> Vec<SneakerDrop> {
        let now = self.now();
        let mut drops = self.drops();
        drops.retain(|drop| drop.is_open(now) && drop.available_stock > 0);
        drops
    }

    /// One drop.
    pub fn get(&self, drop_id: i64) -> Option<SneakerDrop> {
        self.read().get(&drop_id).map(|entry| entry.drop.clone())
    }

    /// The newest purchasers of a drop, at most [`LISTED_PURCHASERS`].
    pub fn purchasers(&self, drop_id: i64) -> Option<Vec<Purchaser>> {
        self.read().get(&drop_id).map(|entry| entry.purchasers.clone())
    }

    /// The whole of it, as the first frame of a socket.
    pub fn snapshot(&self) -> Frame {
        Frame::Snapshot { now: self.now(), drops: self.drops() }
    }

    /// Takes in a committed change.
    pub(crate) fn apply(&self, change: &StockChange) {
        if let Some(entry) = self.write().get_mut(&change.drop_id) {
            entry.apply(change);
        }
        self.changed.notify_one();
    }

    /// Takes in a drop that was just created.
    pub(crate) fn insert(&self, drop: SneakerDrop) {
        self.write().entry(drop.id).or_insert_with(|| Entry::new(drop, vec![]));
        self.changed.notify_one();
    }

    /// Waits until there is something to [`flush`](Self::flush).
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The frames that bring every socket from the last flush to now: for each drop that changed its latest state, and
    /// its newest purchases.
    pub(crate) fn flush(&self) -> Vec<Frame> {
        let now = self.now();
        self.write().values_mut().flat_map(|entry| entry.flush(now)).collect()
    }

    /// Reads from the database every drop that is not known in its current version, and its clock.
    pub async fn reconcile(&self, pool: &PgPool) -> Result<(), DropError> {
        let (ids, versions): (Vec<i64>, Vec<i64>) =
            self.read().values().map(|entry| (entry.drop.id, entry.drop.version)).unzip();
        let mut loan = Loan::take(pool).await.map_err(fault)?;

        let asked = Instant::now();
        let rows = sqlx::query!(
            r#"select clock_timestamp() as "now!", d.id as "id?", d.name as "name?", d.price_cents as "price_cents?",
                      d.image_url, d.limit_per_user, d.version as "version?", d.starts_at as "starts_at?", d.ends_at,
                      s.label as "label?", s.total_stock as "total_stock?", s.available_stock as "available_stock?",
                      s.held_stock as "held_stock?"
               from (select) as always
               left join (
                   drops d
                   join drop_sizes s on s.drop_id = d.id
                   left join unnest($1::bigint[], $2::bigint[]) as known (id, version) on known.id = d.id
               ) on known.version is distinct from d.version
               order by d.id, s.position"#,
            &ids,
            &versions
        );
        let rows = bounded(rows.fetch_all(loan.connection())).await?;
        let answered = Instant::now();

        let mut fresh: BTreeMap<i64, SneakerDrop> = BTreeMap::new();
        for row in rows {
            self.clock.lock().unwrap_or_else(PoisonError::into_inner).read(row.now, asked, answered);
            let (Some(id), Some(name), Some(price_cents), Some(version), Some(starts_at)) =
                (row.id, row.name, row.price_cents, row.version, row.starts_at)
            else {
                loan.give_back();
                return Ok(());
            };
            let drop = fresh.entry(id).or_insert_with(|| SneakerDrop {
                id,
                name,
                price_cents,
                image_url: row.image_url,
                limit_per_user: row.limit_per_user,
                version,
                starts_at,
                ends_at: row.ends_at,
                total_stock: 0,
                available_stock: 0,
                held_stock: 0,
                sizes: vec![],
                latest_purchasers: vec![],
            });
            let total_stock = row.total_stock.unwrap_or_default();
            let available_stock = row.available_stock.unwrap_or_default();
            drop.total_stock += total_stock;
            drop.available_stock += available_stock;
            drop.held_stock += row.held_stock.unwrap_or_default();
            drop.sizes.push(Size { label: row.label.unwrap_or_default(), total_stock, available_stock });
        }

        let ids: Vec<i64> = fresh.keys().copied().collect();
        let purchases = sqlx::query!(
            "select p.drop_id, p.id as purchase_id, p.created_at, u.id, u.username
             from unnest($1::bigint[]) as wanted (id)
             cross join lateral (
                 select * from purchases where drop_id = wanted.id order by id desc limit $2
             ) p
             join users u on u.id = p.user_id
             order by p.id desc",
            &ids,
            LISTED_PURCHASERS as i64
        );
        let purchases = bounded(purchases.fetch_all(loan.connection())).await?;
        loan.give_back();
        let mut purchasers: BTreeMap<i64, Vec<Purchaser>> = BTreeMap::new();
        for row in purchases {
            let (purchase_id, purchased_at) = (row.purchase_id, row.created_at);
            let purchaser = Purchaser { id: row.id, username: row.username, purchase_id, purchased_at };
            purchasers.entry(row.drop_id).or_default().push(purchaser);
        }

        let mut drops = self.write();
        for (id, drop) in fresh {
            let purchasers = purchasers.remove(&id).unwrap_or_default();
            match drops.get_mut(&id) {
                Some(entry) => entry.replace(drop, purchasers),
                None => {
                    drops.insert(id, Entry::new(drop, purchasers));
                }
            }
        }
        self.changed.notify_one();
        Ok(())
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<i64, Entry>> {
        self.drops.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<i64, Entry>> {
        self.drops.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn new(mut drop: SneakerDrop, purchasers: Vec<Purchaser>) -> Self {
        drop.latest_purchasers = purchasers.iter().take(LATEST_PURCHASERS).cloned().collect();
        let pending = Pending { is_new: true, ..Pending::default() };
        Self { drop, purchasers, pending }
    }

    fn apply(&mut self, change: &StockChange) {
        if let Some(purchaser) = &change.purchaser {
            self.add_purchaser(purchaser.clone());
        }
        if change.version > self.drop.version {
            self.note_moved(&change.sizes);
            self.drop.version = change.version;
            self.drop.available_stock = change.available();
            self.drop.held_stock = change.held;
            self.drop.sizes.clone_from(&change.sizes);
            self.pending.reason = Some(change.reason);
        }
    }

    /// Takes in a state that someone else committed; what happened is read off the counts.
    fn replace(&mut self, drop: SneakerDrop, purchasers: Vec<Purchaser>) {
        for purchaser in purchasers.into_iter().rev() {
            self.add_purchaser(purchaser);
        }
        if drop.version > self.drop.version {
            self.note_moved(&drop.sizes);
            let sold = |drop: &SneakerDrop| drop.total_stock - drop.available_stock - drop.held_stock;
            self.pending.reason = Some(if sold(&drop) > sold(&self.drop) {
                Reason::Purchased
            } else if drop.available_stock < self.drop.available_stock {
                Reason::Reserved
            } else {
                Reason::Released
            });
            self.drop = SneakerDrop { latest_purchasers: std::mem::take(&mut self.drop.latest_purchasers), ..drop };
        }
    }

    fn note_moved(&mut self, sizes: &[Size]) {
        for (before, after) in std::iter::zip(&self.drop.sizes, sizes) {
            if before.available_stock != after.available_stock {
                self.pending.moved_sizes.insert(after.label.clone());
            }
        }
    }

    fn add_purchaser(&mut self, purchaser: Purchaser) {
        if !self.purchasers.iter().any(|known| known.purchase_id == purchaser.purchase_id) {
            add_purchaser(&mut self.pending.purchases, purchaser.clone(), LISTED_PURCHASERS);
            self.drop.add_purchaser(purchaser.clone(), LATEST_PURCHASERS);
            add_purchaser(&mut self.purchasers, purchaser, LISTED_PURCHASERS);
        }
    }

    fn flush(&mut self, now: DateTime<Utc>) -> Vec<Frame> {
        let drop = &self.drop;
        let Pending { is_new, reason, moved_sizes, purchases } = std::mem::take(&mut self.pending);
        let reason = if is_new { Some(Reason::Created) } else { reason };
        let mut frames = vec![];
        if is_new {
            frames.push(Frame::DropCreated { drop: drop.clone() });
        }
        if let Some(reason) = reason {
            let changed = drop.sizes.iter().filter(|size| is_new || moved_sizes.contains(&size.label));
            frames.push(Frame::StockUpdated(StockUpdate {
                now,
                drop_id: drop.id,
                new_stock: drop.available_stock,
                held: drop.held_stock,
                sizes: changed
                    .map(|size| SizeLevel { label: size.label.clone(), available: size.available_stock })
                    .collect(),
                version: drop.version,
                reason,
            }));
        }
        frames.extend(purchases.into_iter().rev().map(|purchase| Frame::PurchaseCompleted {
            drop_id: drop.id,
            new_stock: drop.available_stock,
            purchase_id: purchase.purchase_id,
            purchaser: User { id: purchase.id, username: purchase.username },
            purchased_at: purchase.purchased_at,
            version: drop.version,
        }));
        frames
    }
}

/// The database's clock as it was last read, carried on by our monotonic one: ours may be set, and must not move it.
struct DatabaseClock {
    then: DateTime<Utc>,
    read_at: Instant,
}

impl Default for DatabaseClock {
    fn default() -> Self {
        Self { then: Utc::now(), read_at: Instant::now() }
    }
}

/// An answer that took longer says too little about when the clock was read.
const CLOCK_ROUND_TRIP: Duration = Duration::from_millis(100);

impl DatabaseClock {
    fn now(&self) -> DateTime<Utc> {
        self.then + TimeDelta::from_std(self.read_at.elapsed()).unwrap_or_default()
    }

    /// Half the round trip is the best guess of when the database looked at its clock.
    fn read(&mut self, then: DateTime<Utc>, asked: Instant, answered: Instant) {
        let round_trip = answered - asked;
        if round_trip <= CLOCK_ROUND_TRIP || (then - self.now()).abs() > TimeDelta::seconds(1) {
            *self = Self { then, read_at: asked + round_trip / 2 };
        }
    }
}
