//! This node's view of every drop, in memory: reads cost no query.
//!
//! It is loaded from the database with two queries and moves with every commit of this node, at once. What other nodes
//! commit, and what this node committed without hearing the answer, [`Catalog::reconcile`] picks up: the same two
//! queries, asking only for drops whose version differs. Versions decide: an older state never replaces a newer one.

use super::{
    database::{PoolGuard, fault, with_timeout},
    inventory::StockChange,
};
use crate::{
    domain::error::DropError,
    domain::event::{Reason, ServerEvent, SizeLevel, StockUpdate},
    domain::{LATEST_PURCHASERS, LISTED_PURCHASERS, Purchaser, Size, SneakerDrop, User, add_purchaser},
};
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, btree_map},
    sync::{
        Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::Notify;

/// Every drop by its id, and what of it the sockets have not been told yet.
#[derive(Default)]
pub struct Catalog {
    drops: RwLock<BTreeMap<i64, Entry>>,
    clock: Mutex<DatabaseClock>,
    changed: Notify,
    revision: AtomicU64,
    /// When the reconciliation last found all to be right.
    trusted_at: Mutex<Option<Instant>>,
}

struct Entry {
    drop: SneakerDrop,
    /// Newest first; the first few are also in `drop`.
    purchasers: Vec<Purchaser>,
    customers: Customers,
    pending: Pending,
}

/// Who has a pair of a drop.
#[derive(Default)]
struct Customers {
    /// Who holds one in an active reservation, and until when.
    held_until: HashMap<i64, DateTime<Utc>>,
    /// The same in the order in which they lapse.
    by_lapse: BTreeSet<(DateTime<Utc>, i64)>,
    /// Who bought one; kept only for a drop with a limit.
    buyers: HashSet<i64>,
    /// The newest purchase that `buyers` has. Under the drop's lock they are numbered in the order of their commits.
    last_purchase_id: i64,
    /// Whether these are all of them as of the drop's version.
    is_complete: bool,
    /// Until then, a COMMIT may have taken place of which nobody heard.
    doubted_until: Option<Instant>,
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

    /// One drop.
    pub fn get(&self, drop_id: i64) -> Option<SneakerDrop> {
        self.read().get(&drop_id).map(|entry| entry.drop.clone())
    }

    /// The newest purchasers of a drop, at most [`LISTED_PURCHASERS`].
    pub fn purchasers(&self, drop_id: i64) -> Option<Vec<Purchaser>> {
        self.read().get(&drop_id).map(|entry| entry.purchasers.clone())
    }

    /// Grows with every change, so that what was made of the catalog can be kept until then.
    pub(crate) fn revision(&self) -> u64 {
        self.revision.load(Ordering::SeqCst)
    }

    /// Whether it is certain, without asking the database, that a user who asks for a pair gets none because none is
    /// left: the drop is open and empty, the user has none (or they would get the same one again, or hear of the limit),
    /// and none is about to come back by time. What another node does, this one knows half a second later.
    pub fn is_sold_out_for(&self, user_id: i64, drop_id: i64, size: Option<&str>) -> bool {
        let trusted_at = *self.trusted_at.lock().unwrap_or_else(PoisonError::into_inner);
        if trusted_at.is_none_or(|trusted_at| trusted_at.elapsed() > TRUST) {
            return false;
        }
        let now = self.now();
        let drops = self.read();
        let Some(Entry { drop, customers, .. }) = drops.get(&drop_id) else { return false };
        let size = size.and_then(|label| drop.sizes.iter().find(|size| size.label == label));
        (drop.available_stock == 0 || size.is_some_and(|size| size.available_stock == 0))
            && drop.is_open(now)
            && customers.is_complete
            && customers.doubted_until.is_none_or(|until| until < Instant::now())
            && !customers.held_until.contains_key(&user_id)
            && !customers.buyers.contains(&user_id)
            && customers.by_lapse.first().is_none_or(|(lapses_at, _)| *lapses_at > now + CLOCK_TOLERANCE)
    }

    /// Confirms what the catalog has, for a while from when the database was asked.
    pub(crate) fn trust(&self, asked: Instant) {
        *self.trusted_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(asked);
    }

    /// Notes that it is not known what became of a transaction: whoever asks again must hear it from the database.
    pub(crate) fn doubt(&self, drop_id: i64) {
        if let Some(entry) = self.write().get_mut(&drop_id) {
            entry.customers.doubted_until = Some(Instant::now() + DOUBT);
        }
    }

    /// Whether there may be such a size; of a drop that is not known here, anything.
    pub(crate) fn may_have_size(&self, drop_id: i64, label: &str) -> bool {
        self.read().get(&drop_id).is_none_or(|entry| entry.drop.sizes.iter().any(|size| size.label == label))
    }

    /// Whether the drop is known here.
    pub(crate) fn has(&self, drop_id: i64) -> bool {
        self.read().contains_key(&drop_id)
    }

    /// Takes in a committed change.
    pub(crate) fn apply(&self, change: StockChange) {
        if let Some(entry) = self.write().get_mut(&change.drop_id) {
            entry.apply(change);
        }
        self.note_change();
    }

    /// Takes in a drop that was just created.
    pub(crate) fn insert(&self, drop: SneakerDrop) {
        self.write().entry(drop.id).or_insert_with(|| {
            let mut entry = Entry::new(drop, vec![]);
            entry.customers.is_complete = true;
            entry
        });
        self.note_change();
    }

    /// Waits until there is something to [`flush`](Self::flush).
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The events that bring every socket from the last flush to now: for each drop that changed its latest state, and
    /// its newest purchases.
    pub(crate) fn flush(&self) -> Vec<ServerEvent> {
        let now = self.now();
        self.write().values_mut().flat_map(|entry| entry.flush(now)).collect()
    }

    /// Asks the database for its clock and for every drop's version, and reads the drops that changed without this node's
    /// knowing. Returns whose reservations did.
    pub async fn reconcile(&self, pool: &PgPool) -> Result<Vec<i64>, DropError> {
        let mut changed = self.ask_for_changed(pool).await?;
        changed.retain(|drop_id, version| self.is_behind(*drop_id, *version));
        if !changed.is_empty() {
            tokio::time::sleep(OWN_COMMIT).await;
            changed.retain(|drop_id, version| self.is_behind(*drop_id, *version));
        }
        if changed.is_empty() {
            return Ok(vec![]);
        }
        self.read_anew(pool, &changed.into_keys().collect::<Vec<_>>()).await
    }

    /// The drops that the database has in another version than the catalog, and in which; sets the clock on the way.
    async fn ask_for_changed(&self, pool: &PgPool) -> Result<BTreeMap<i64, i64>, DropError> {
        let (ids, versions): (Vec<i64>, Vec<i64>) =
            self.read().iter().map(|(id, entry)| (*id, entry.known_version())).unzip();
        let mut connection = PoolGuard::acquire(pool).await.map_err(fault)?;
        let asked = Instant::now();
        let rows = sqlx::query!(
            r#"select clock_timestamp() as "now!", d.id as "id?", d.version as "version?"
               from (select) as always
               left join (
                   drops d left join unnest($1::bigint[], $2::bigint[]) as known (id, version) on known.id = d.id
               ) on known.version is distinct from d.version"#,
            &ids,
            &versions
        );
        let rows = with_timeout(rows.fetch_all(&mut *connection)).await?;
        connection.put_back();
        if let Some(row) = rows.first() {
            let answered = Instant::now();
            self.clock.lock().unwrap_or_else(PoisonError::into_inner).read(row.now, asked, answered);
        }
        Ok(rows.into_iter().filter_map(|row| row.id.zip(row.version)).collect())
    }

    /// Whether the catalog lacks something that a drop's version has.
    fn is_behind(&self, drop_id: i64, version: i64) -> bool {
        self.read().get(&drop_id).is_none_or(|entry| entry.known_version() < version)
    }

    /// Reads drops with all that belongs to them, as of one moment; returns whose reservations changed.
    async fn read_anew(&self, pool: &PgPool, ids: &[i64]) -> Result<Vec<i64>, DropError> {
        let mut connection = PoolGuard::begin_snapshot(pool).await.map_err(fault)?;
        let rows = sqlx::query!(
            "select d.id, d.name, d.price_cents, d.image_url, d.limit_per_user, d.version, d.starts_at, d.ends_at,
                    s.label, s.total_stock, s.available_stock, s.held_stock
             from drops d join drop_sizes s on s.drop_id = d.id
             where d.id = any($1) order by d.id, s.position",
            ids
        );
        let rows = with_timeout(rows.fetch_all(&mut *connection)).await?;
        let mut fresh: BTreeMap<i64, SneakerDrop> = BTreeMap::new();
        for row in rows {
            let drop = fresh.entry(row.id).or_insert_with(|| SneakerDrop {
                id: row.id,
                name: row.name,
                price_cents: row.price_cents,
                image_url: row.image_url,
                limit_per_user: row.limit_per_user,
                version: row.version,
                starts_at: row.starts_at,
                ends_at: row.ends_at,
                total_stock: 0,
                available_stock: 0,
                held_stock: 0,
                sizes: vec![],
                latest_purchasers: vec![],
            });
            drop.total_stock += row.total_stock;
            drop.available_stock += row.available_stock;
            drop.held_stock += row.held_stock;
            let (total_stock, available_stock) = (row.total_stock, row.available_stock);
            drop.sizes.push(Size { label: row.label, total_stock, available_stock });
        }

        let purchases = sqlx::query!(
            "select p.drop_id, p.id as purchase_id, p.created_at, u.id, u.username
             from unnest($1::bigint[]) as wanted (id)
             cross join lateral (
                 select * from purchases where drop_id = wanted.id order by id desc limit $2
             ) p
             join users u on u.id = p.user_id
             order by p.id desc",
            ids,
            LISTED_PURCHASERS as i64
        );
        let purchases = with_timeout(purchases.fetch_all(&mut *connection)).await?;
        let reservations = sqlx::query!(
            "select drop_id, user_id, expires_at from reservations where drop_id = any($1) and status = 'active'",
            ids
        );
        let reservations = with_timeout(reservations.fetch_all(&mut *connection)).await?;
        let last_purchase_ids = self.last_purchase_ids(ids);
        let buyers = sqlx::query!(
            "select p.drop_id, p.user_id, p.id
             from unnest($1::bigint[], $2::bigint[]) as known (drop_id, last_purchase_id)
             join drops d on d.id = known.drop_id and d.limit_per_user is not null
             join purchases p on p.drop_id = known.drop_id and p.id > known.last_purchase_id",
            ids,
            &last_purchase_ids
        );
        let buyers = with_timeout(buyers.fetch_all(&mut *connection)).await?;
        connection.rollback().await.map_err(fault)?;
        connection.put_back();
        let mut purchasers: BTreeMap<i64, Vec<Purchaser>> = BTreeMap::new();
        for row in purchases {
            let (purchase_id, purchased_at) = (row.purchase_id, row.created_at);
            let purchaser = Purchaser { id: row.id, username: row.username, purchase_id, purchased_at };
            purchasers.entry(row.drop_id).or_default().push(purchaser);
        }

        let mut held_until: BTreeMap<i64, HashMap<i64, DateTime<Utc>>> = BTreeMap::new();
        for row in reservations {
            held_until.entry(row.drop_id).or_default().insert(row.user_id, row.expires_at);
        }
        let mut bought: BTreeMap<i64, Vec<(i64, i64)>> = BTreeMap::new();
        for row in buyers {
            bought.entry(row.drop_id).or_default().push((row.user_id, row.id));
        }

        let mut surprised = vec![];
        let mut drops = self.write();
        for (id, drop) in fresh {
            let purchasers = purchasers.remove(&id).unwrap_or_default();
            let version = drop.version;
            let entry = match drops.entry(id) {
                btree_map::Entry::Vacant(vacant) => vacant.insert(Entry::new(drop, purchasers)),
                btree_map::Entry::Occupied(known) => {
                    let entry = known.into_mut();
                    surprised.extend(entry.replace(drop, purchasers));
                    entry
                }
            };
            let held_until = held_until.remove(&id).unwrap_or_default();
            surprised.extend(entry.customers.differ_from(&held_until));
            // A commit of this node may have been faster.
            if entry.drop.version == version {
                entry.customers.complete(held_until, bought.remove(&id).unwrap_or_default());
            }
        }
        self.note_change();
        Ok(surprised)
    }

    /// The newest purchase of each drop that its buyers are known up to.
    fn last_purchase_ids(&self, drop_ids: &[i64]) -> Vec<i64> {
        let drops = self.read();
        drop_ids.iter().map(|id| drops.get(id).map_or(0, |entry| entry.customers.last_purchase_id)).collect()
    }

    fn note_change(&self) {
        self.revision.fetch_add(1, Ordering::SeqCst);
        self.changed.notify_one();
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
        Self { drop, purchasers, customers: Customers::default(), pending }
    }

    /// The version of which everything is known; 0 when something is missing.
    fn known_version(&self) -> i64 {
        if self.customers.is_complete { self.drop.version } else { 0 }
    }

    fn apply(&mut self, change: StockChange) {
        if change.version > self.drop.version {
            let is_next = change.version == self.drop.version + 1;
            self.customers.apply(&change, self.drop.limit_per_user.is_some(), is_next);
            self.note_moved(&change.sizes, is_next);
            self.drop.version = change.version;
            self.drop.available_stock = change.available();
            self.drop.held_stock = change.held;
            self.drop.sizes = change.sizes;
            self.pending.reason = Some(change.reason);
        }
        change.purchasers.into_iter().for_each(|purchaser| self.add_purchaser(purchaser));
    }

    /// Takes in a state that someone else committed; what happened is read off the counts. Returns who bought since.
    fn replace(&mut self, drop: SneakerDrop, purchasers: Vec<Purchaser>) -> Vec<i64> {
        let is_known = |new: &Purchaser| self.purchasers.iter().any(|known| known.purchase_id == new.purchase_id);
        let bought = purchasers.iter().filter(|new| !is_known(new)).map(|new| new.id).collect();
        for purchaser in purchasers.into_iter().rev() {
            self.add_purchaser(purchaser);
        }
        if drop.version > self.drop.version {
            self.note_moved(&drop.sizes, drop.version == self.drop.version + 1);
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
        bought
    }

    /// Notes which sizes a newer state moves. One that is not the next may have moved any of them, and back: a page that
    /// knows a state in between must hear of it.
    fn note_moved(&mut self, sizes: &[Size], is_next: bool) {
        for (before, after) in std::iter::zip(&self.drop.sizes, sizes) {
            if !is_next || before.available_stock != after.available_stock {
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

    fn flush(&mut self, now: DateTime<Utc>) -> Vec<ServerEvent> {
        let drop = &self.drop;
        let Pending { is_new, reason, moved_sizes, purchases } = std::mem::take(&mut self.pending);
        let reason = if is_new { Some(Reason::Created) } else { reason };
        let mut events = vec![];
        if is_new {
            events.push(ServerEvent::DropCreated { drop: drop.clone() });
        }
        if let Some(reason) = reason {
            let changed = drop.sizes.iter().filter(|size| is_new || moved_sizes.contains(&size.label));
            events.push(ServerEvent::StockUpdated(StockUpdate {
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
        events.extend(purchases.into_iter().rev().map(|purchase| ServerEvent::PurchaseCompleted {
            drop_id: drop.id,
            new_stock: drop.available_stock,
            purchase_id: purchase.purchase_id,
            purchaser: User { id: purchase.id, username: purchase.username },
            purchased_at: purchase.purchased_at,
            version: drop.version,
        }));
        events
    }
}

impl Customers {
    /// Takes in all who hold a pair, and who bought one since `last_purchase_id`.
    fn complete(&mut self, held_until: HashMap<i64, DateTime<Utc>>, purchases: Vec<(i64, i64)>) {
        self.by_lapse = held_until.iter().map(|(user_id, until)| (*until, *user_id)).collect();
        self.held_until = held_until;
        self.add_buyers(purchases);
        self.is_complete = true;
    }

    /// Who holds a pair and is not known to, or no more does.
    fn differ_from(&self, held_until: &HashMap<i64, DateTime<Utc>>) -> Vec<i64> {
        let came = held_until.iter().filter(|(user_id, until)| self.held_until.get(user_id) != Some(until));
        let went = self.held_until.keys().filter(|user_id| !held_until.contains_key(user_id));
        came.map(|(user_id, _)| *user_id).chain(went.copied()).collect()
    }

    /// Takes in a change of this node's; `is_next` when it is of the version after this one's.
    fn apply(&mut self, change: &StockChange, is_limited: bool, is_next: bool) {
        self.is_complete &= is_next;
        for user_id in &change.let_go {
            if let Some(until) = self.held_until.remove(user_id) {
                self.by_lapse.remove(&(until, *user_id));
            }
        }
        for (user_id, until) in &change.holders {
            if let Some(before) = self.held_until.insert(*user_id, *until) {
                self.by_lapse.remove(&(before, *user_id));
            }
            self.by_lapse.insert((*until, *user_id));
        }
        // Others' purchases may be missing before these.
        if is_limited && self.is_complete {
            self.add_buyers(change.purchasers.iter().map(|purchaser| (purchaser.id, purchaser.purchase_id)));
        }
    }

    fn add_buyers(&mut self, purchases: impl IntoIterator<Item = (i64, i64)>) {
        for (user_id, purchase_id) in purchases {
            self.buyers.insert(user_id);
            self.last_purchase_id = self.last_purchase_id.max(purchase_id);
        }
    }
}

/// The database's clock as it was last read, carried on by our monotonic one: ours may be set, and must not move it.
struct DatabaseClock {
    then: DateTime<Utc>,
    read_at: Instant,
    /// Whether it was read at all; until then it is this machine's clock.
    is_read: bool,
}

impl Default for DatabaseClock {
    fn default() -> Self {
        Self { then: Utc::now(), read_at: Instant::now(), is_read: false }
    }
}

/// How far our idea of the database's clock may be off.
const CLOCK_TOLERANCE: TimeDelta = TimeDelta::milliseconds(100);

/// How long the catalog may refuse somebody after the database was last asked. It is asked twice a second.
const TRUST: Duration = Duration::from_secs(2);

/// How long the task that commits a change of this node's has to tell the catalog before the change passes for somebody
/// else's: reading a drop anew in the middle of a rush costs as much as it has holders.
const OWN_COMMIT: Duration = Duration::from_millis(20);

/// How long a COMMIT that nobody heard of may take to show: more than PostgreSQL gives a transaction.
const DOUBT: Duration = Duration::from_secs(12);

/// An answer that took longer says too little about when the clock was read.
const CLOCK_ROUND_TRIP: Duration = Duration::from_millis(100);

impl DatabaseClock {
    fn now(&self) -> DateTime<Utc> {
        self.then + TimeDelta::from_std(self.read_at.elapsed()).unwrap_or_default()
    }

    /// Half the round trip is the best guess of when the database looked at its clock.
    fn read(&mut self, then: DateTime<Utc>, asked: Instant, answered: Instant) {
        let round_trip = answered - asked;
        if !self.is_read || round_trip <= CLOCK_ROUND_TRIP || (then - self.now()).abs() > TimeDelta::seconds(1) {
            *self = Self { then, read_at: asked + round_trip / 2, is_read: true };
        }
    }
}
