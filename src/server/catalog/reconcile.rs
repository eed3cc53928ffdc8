//! How the catalog learns what others committed, and what this node committed without receiving the reply.

use super::{Catalog, DropStatus, Known, ManagedDrop, customers::Customers, entry::Entry};
use crate::{
    domain::{LISTED_PURCHASERS, Purchaser, Size, SneakerDrop, error::DropError},
    server::{
        clock::DatabaseClock,
        database::{
            Pool, Purpose,
            error::{fault, with_timeout},
            guard::PoolGuard,
        },
    },
};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use std::{
    collections::{BTreeMap, HashMap, btree_map},
    time::{Duration, Instant},
};

/// Whose connections lack something after a reconciliation, beyond the events that follow.
#[derive(Debug, PartialEq, Eq)]
pub enum Outdated {
    /// Users whose reservations or purchases changed.
    Users(Vec<i64>),
    /// The database went back: what anybody knows may be of another history.
    Everybody,
}

/// What the database has, compared with what was known when it was asked.
struct Comparison {
    /// The database's time.
    now: DateTime<Utc>,
    /// Drops of which something is not known, with their version and edit version.
    changed: BTreeMap<i64, (i64, i64)>,
    /// Known drops that are not published any more, or do not exist.
    removed: Vec<i64>,
    /// Known drops that are not current any more.
    past: Vec<i64>,
    /// Purchases that were cancelled lately, with their buyers.
    cancelled: Vec<(i64, i64)>,
}

impl Catalog {
    /// Reads the database's clock and the versions of all current drops, then the drops that this node has in another version.
    pub async fn reconcile(&self, pool: &Pool, clock: &DatabaseClock) -> Result<Outdated, DropError> {
        let Comparison { now, mut changed, removed, past, cancelled } = self.compare(pool, clock).await?;
        if self.read().is_doubted {
            return self.reload_all(pool, clock).await;
        }
        if !removed.is_empty() || !past.is_empty() {
            let mut known = self.write();
            for drop_id in removed {
                known.unreadable.remove(&drop_id);
                known.remove(drop_id);
            }
            // Pages that show them keep them.
            for drop_id in past {
                known.unreadable.remove(&drop_id);
                known.drops.remove(&drop_id);
            }
            drop(known);
            self.mark_changed();
        }
        let is_behind = |drop_id: &i64, versions: &mut (i64, i64)| self.is_behind(*drop_id, *versions);
        changed.retain(is_behind);
        if !changed.is_empty() {
            tokio::time::sleep(OWN_COMMIT_DELAY).await;
            changed.retain(is_behind);
        }
        let read = match changed.is_empty() {
            true => vec![],
            false => self.read_drops(pool, &changed.into_keys().collect::<Vec<_>>()).await?,
        };
        let mut known = self.write();
        let mut users = known.cancellations.take(now, &cancelled);
        if !read.is_empty() {
            users.extend(read.into_iter().flat_map(|drop| drop.merge_into(&mut known)));
            drop(known);
            self.mark_changed();
        }
        Ok(Outdated::Users(users))
    }

    /// Replaces everything that is known, and begins another epoch.
    async fn reload_all(&self, pool: &Pool, clock: &DatabaseClock) -> Result<Outdated, DropError> {
        tracing::warn!("the database went back to an earlier state, or is another one: all drops are read anew");
        let mut connection = PoolGuard::acquire_for(Purpose::Sale, pool).await.map_err(fault)?;
        let current = sqlx::query_scalar!(r#"select id as "id!" from current_drops"#);
        let ids = with_timeout(current.fetch_all(&mut *connection)).await?;
        connection.put_back();
        // Buyers that were known before count no more.
        self.write().drops.values_mut().for_each(|entry| entry.customers = Customers::default());
        let read = self.read_drops(pool, &ids).await?;
        let mut known = self.write();
        known.history.begin_epoch(clock.now());
        // Only now: a reload that fails or is cancelled must be tried again.
        known.is_doubted = false;
        known.drops.clear();
        known.unreadable.clear();
        for drop in read {
            drop.merge_into(&mut known);
        }
        known.removed.clear();
        known.drops.values_mut().for_each(Entry::skip_events);
        drop(known);
        self.mark_changed();
        Ok(Outdated::Everybody)
    }

    /// Compares all versions. Sets the clock from the same query.
    async fn compare(&self, pool: &Pool, clock: &DatabaseClock) -> Result<Comparison, DropError> {
        let (mut ids, mut versions, mut edit_versions, mut are_complete) = (vec![], vec![], vec![], vec![]);
        for (id, (version, edit_version), is_complete) in self.read().versions() {
            ids.push(id);
            versions.push(version);
            edit_versions.push(edit_version);
            are_complete.push(is_complete);
        }
        let mut connection = PoolGuard::acquire_for(Purpose::Sale, pool).await.map_err(fault)?;
        let requested = Instant::now();
        let rows = sqlx::query!(
            r#"select clock_timestamp() as "now!", current_setting('transaction_read_only') = 'on' as "is_read_only!",
                   server_identity() as server,
                   d.id as "id?", d.version as "version?", d.edit_version as "edit_version?",
                   known.id as known_id, known.version as known_version, known.edit_version as known_edit_version,
                   exists (select from drops where id = known.id and status = 'published') as "exists!"
               from (select) as always
               left join (
                   current_drops d full join unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::boolean[])
                       as known (id, version, edit_version, is_complete) on known.id = d.id
               ) on known.version is distinct from d.version or known.edit_version is distinct from d.edit_version
                   or not known.is_complete"#,
            &ids,
            &versions,
            &edit_versions,
            &are_complete
        );
        let rows = with_timeout(rows.fetch_all(&mut *connection)).await?;
        let Some(first) = rows.first() else { return Err(DropError::Internal) };
        if first.is_read_only {
            // It was demoted, or is about to be switched over: the next connection may reach its successor.
            tracing::warn!("the database is read-only");
            pool.close_idle();
            return Err(DropError::Unavailable);
        }
        clock.set(first.now, requested, Instant::now());
        let since = self.read().cancellations.since(first.now);
        let cancelled =
            sqlx::query!("select id, user_id from purchases where status = 'cancelled' and cancelled_at > $1", since);
        let cancelled = with_timeout(cancelled.fetch_all(&mut *connection)).await?;
        connection.put_back();
        let mut known = self.write();
        let is_other_server = first.server.clone().is_some_and(|server| known.history.set_server(server));
        // What was known had been committed.
        let is_less = |stored: Option<i64>, known| stored.zip(known).is_some_and(|(stored, known)| stored < known);
        let is_lower = rows
            .iter()
            .any(|row| is_less(row.version, row.known_version) || is_less(row.edit_version, row.known_edit_version));
        known.is_doubted |= is_other_server || is_lower;
        drop(known);
        let cancelled = cancelled.into_iter().map(|row| (row.id, row.user_id)).collect();
        let now = first.now;
        let mut comparison = Comparison { now, changed: BTreeMap::new(), removed: vec![], past: vec![], cancelled };
        for row in rows {
            match (row.id.zip(row.version.zip(row.edit_version)), row.known_id) {
                (Some((id, versions)), _) => drop(comparison.changed.insert(id, versions)),
                (None, Some(known_id)) if row.exists => comparison.past.push(known_id),
                (None, Some(known_id)) => comparison.removed.push(known_id),
                (None, None) => {}
            }
        }
        Ok(comparison)
    }

    /// A drop that is not current, with its newest purchasers; `None` if it does not exist or no page could read it.
    pub(crate) async fn read_past(&self, pool: &Pool, drop_id: i64) -> Result<Option<SneakerDrop>, DropError> {
        let mut connection = PoolGuard::acquire(pool).await.map_err(fault)?;
        let read = with_timeout(query_drops(&mut connection, &[drop_id])).await?;
        connection.put_back();
        let is_shown = |managed: &ManagedDrop| managed.status == DropStatus::Published && is_readable(&managed.drop);
        Ok(read.into_iter().map(|read| read.managed).find(is_shown).map(|managed| managed.drop))
    }

    /// The drop that was created with an idempotency key, which may be a draft.
    pub(crate) async fn read_created(&self, pool: &Pool, key: &str) -> Result<Option<SneakerDrop>, DropError> {
        let mut connection = PoolGuard::acquire(pool).await.map_err(fault)?;
        let id = sqlx::query_scalar!("select id from drops where idempotency_key = $1", key);
        let id = with_timeout(id.fetch_optional(&mut *connection)).await?;
        connection.put_back();
        match id {
            Some(id) => Ok(Self::managed(pool, id).await?.map(|managed| managed.drop)),
            None => Ok(None),
        }
    }

    /// Whether the catalog is older than these versions of the drop, or incomplete.
    fn is_behind(&self, drop_id: i64, (version, edit_version): (i64, i64)) -> bool {
        let is_older = |entry: &Entry| entry.known_version() < version || entry.edit_version < edit_version;
        self.read().drops.get(&drop_id).is_none_or(is_older)
    }

    /// Reads drops with their customers in one snapshot.
    async fn read_drops(&self, pool: &Pool, ids: &[i64]) -> Result<Vec<ReadDrop>, DropError> {
        let mut connection = PoolGuard::begin_snapshot_for(Purpose::Sale, pool).await.map_err(fault)?;
        with_timeout(self.query(&mut connection, ids)).await
    }

    /// Reads drops with their customers in the caller's transaction, which has a snapshot or their locks.
    pub(crate) async fn query(&self, connection: &mut PgConnection, ids: &[i64]) -> Result<Vec<ReadDrop>, sqlx::Error> {
        let current = sqlx::query_scalar!(r#"select id as "id!" from current_drops where id = any($1)"#, ids);
        let current = current.fetch_all(&mut *connection).await?;
        let mut read = query_drops(&mut *connection, ids).await?;
        let mut customers = query_customers(connection, &current, &self.last_purchase_ids(&current)).await?;
        for drop in &mut read {
            let id = drop.managed.drop.id;
            drop.customers = current.contains(&id).then(|| customers.remove(&id).unwrap_or_default());
        }
        Ok(read)
    }

    /// For each drop the newest purchase that its customers include.
    fn last_purchase_ids(&self, drop_ids: &[i64]) -> Vec<i64> {
        let known = self.read();
        let last_id = |id| known.drops.get(id).map_or(0, |entry: &Entry| entry.customers.last_purchase_id);
        drop_ids.iter().map(last_id).collect()
    }
}

impl Known {
    /// Every drop with its version, its edit version and whether everything of it is known, also those that cannot be read.
    fn versions(&self) -> impl Iterator<Item = (i64, (i64, i64), bool)> {
        let versions = |entry: &Entry| (entry.drop.version, entry.edit_version);
        let drops = self.drops.iter().map(move |(id, entry)| (*id, versions(entry), entry.customers.is_complete));
        drops.chain(self.unreadable.iter().map(|(id, versions)| (*id, *versions, true)))
    }
}

/// Drops in any status with their sizes and newest purchasers, without their customers.
pub(super) async fn query_drops(connection: &mut PgConnection, ids: &[i64]) -> Result<Vec<ReadDrop>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select d.id, d.name, d.price_cents, d.image_url, d.limit_per_user, d.version, d.starts_at, d.ends_at, d.is_paused,
                d.status as "status: DropStatus", d.edit_version,
                coalesce((select max(id) from purchases where drop_id = d.id), 0) as "last_purchase_id!",
                coalesce(t.description, '') as "description!", s.label, s.total_stock, s.available_stock, s.held_stock
         from drops d join drop_sizes s on s.drop_id = d.id left join drop_descriptions t on t.drop_id = d.id
         where d.id = any($1) order by d.id, s.position"#,
        ids
    );
    let mut read: Vec<ReadDrop> = vec![];
    for row in rows.fetch_all(&mut *connection).await? {
        if read.last().is_none_or(|read| read.managed.drop.id != row.id) {
            let drop = SneakerDrop {
                id: row.id,
                name: row.name,
                description: row.description,
                price_cents: row.price_cents,
                image_url: row.image_url,
                limit_per_user: row.limit_per_user,
                version: row.version,
                starts_at: row.starts_at.into(),
                ends_at: row.ends_at.map(Into::into),
                paused: row.is_paused,
                total_stock: 0,
                available_stock: 0,
                held_stock: 0,
                sizes: vec![],
                latest_purchasers: vec![],
            };
            read.push(ReadDrop {
                managed: ManagedDrop { drop, status: row.status, edit_version: row.edit_version },
                last_purchase_id: row.last_purchase_id,
                customers: None,
            });
        }
        let drop = &mut read.last_mut().expect("one was pushed").managed.drop;
        drop.total_stock += row.total_stock;
        drop.available_stock += row.available_stock;
        drop.held_stock += row.held_stock;
        let (total_stock, available_stock) = (row.total_stock, row.available_stock);
        drop.sizes.push(Size { label: row.label, total_stock, available_stock });
    }
    let rows = sqlx::query!(
        "select p.drop_id, p.id as purchase_id, p.created_at, u.id, u.username
         from unnest($1::bigint[]) as wanted (id)
         cross join lateral (
             select * from purchases where drop_id = wanted.id and status = 'completed' order by id desc limit $2
         ) p
         join users u on u.id = p.user_id
         order by p.id desc",
        ids,
        LISTED_PURCHASERS as i64
    );
    for read in &mut read {
        read.managed.drop.sizes = Size::shown(std::mem::take(&mut read.managed.drop.sizes));
    }
    for row in rows.fetch_all(connection).await? {
        let (purchase_id, purchased_at) = (row.purchase_id, row.created_at.into());
        let purchaser = Purchaser { id: row.id, username: row.username, purchase_id, purchased_at };
        if let Some(read) = read.iter_mut().find(|read| read.managed.drop.id == row.drop_id) {
            read.managed.drop.latest_purchasers.push(purchaser);
        }
    }
    Ok(read)
}

/// What changed of a drop's customers, beside its holders.
#[derive(Default)]
struct ReadCustomers {
    /// The holders, and when their reservations expire.
    held_until: HashMap<i64, DateTime<Utc>>,
    /// Users and their purchases since the last known one; empty if the drop has no limit.
    bought: Vec<(i64, i64)>,
}

async fn query_customers(
    connection: &mut PgConnection,
    ids: &[i64],
    last_purchase_ids: &[i64],
) -> Result<HashMap<i64, ReadCustomers>, sqlx::Error> {
    let mut customers: HashMap<i64, ReadCustomers> = HashMap::new();
    let holders = sqlx::query!(
        "select drop_id, user_id, expires_at from reservations where drop_id = any($1) and status = 'active'",
        ids
    );
    for row in holders.fetch_all(&mut *connection).await? {
        customers.entry(row.drop_id).or_default().held_until.insert(row.user_id, row.expires_at);
    }
    let buyers = sqlx::query!(
        "select p.drop_id, p.user_id, p.id
         from unnest($1::bigint[], $2::bigint[]) as known (drop_id, last_purchase_id)
         join drops d on d.id = known.drop_id and d.limit_per_user is not null
         join purchases p on p.drop_id = known.drop_id and p.id > known.last_purchase_id",
        ids,
        last_purchase_ids
    );
    for row in buyers.fetch_all(connection).await? {
        customers.entry(row.drop_id).or_default().bought.push((row.user_id, row.id));
    }
    Ok(customers)
}

/// A drop as a transaction read it.
pub(crate) struct ReadDrop {
    /// With the newest [`LISTED_PURCHASERS`].
    pub(crate) managed: ManagedDrop,
    /// The newest purchase, cancelled or not; 0 if there is none.
    last_purchase_id: i64,
    /// `None` of a drop that is not current: they do not matter, and may be all that there ever were.
    customers: Option<ReadCustomers>,
}

impl ReadDrop {
    /// Takes the drop into the catalog, or leaves it out if it is not current or no page could read it. Returns the users whose
    /// reservations or purchases changed, or matter from now on.
    pub(super) fn merge_into(self, known: &mut Known) -> Vec<i64> {
        let Self { managed: ManagedDrop { drop, status, edit_version }, last_purchase_id, customers } = self;
        let (id, version, limit) = (drop.id, drop.version, drop.limit_per_user);
        if status != DropStatus::Published {
            known.unreadable.remove(&id);
            known.remove(id);
            return vec![];
        }
        let Some(ReadCustomers { held_until, bought }) = customers else {
            // Pages that show it keep it.
            known.unreadable.remove(&id);
            known.drops.remove(&id);
            return vec![];
        };
        if !is_readable(&drop) {
            if known.unreadable.insert(id, (version, edit_version)).is_none() {
                tracing::error!(drop_id = id, "a drop is left out, because pages could not read it");
            }
            known.remove(id);
            return vec![];
        }
        known.unreadable.remove(&id);
        let mut users = vec![];
        let entry = match known.drops.entry(id) {
            btree_map::Entry::Vacant(vacant) => {
                users.extend(drop.latest_purchasers.iter().map(|purchaser| purchaser.id));
                vacant.insert(Entry::new(drop, edit_version))
            }
            btree_map::Entry::Occupied(known) => {
                let entry = known.into_mut();
                let limit_before = entry.drop.limit_per_user;
                users.extend(entry.merge(drop, edit_version, last_purchase_id));
                if limit != limit_before {
                    // Their pages know as many of their purchases as the limit was.
                    users.extend(entry.customers.buyers());
                }
                entry
            }
        };
        users.extend(bought.iter().map(|(user_id, _)| *user_id));
        users.extend(entry.customers.changed_users(&held_until));
        // Otherwise a commit of this node came in between, and what was read is older.
        if entry.drop.version == version {
            entry.customers.complete(held_until, bought);
        }
        users
    }
}

/// Whether pages read the drop as it is. SQL can bring in what the server itself would refuse.
fn is_readable(drop: &SneakerDrop) -> bool {
    // A number of JavaScript has 53 bits.
    let is_number = |number: i64| number.unsigned_abs() < 1 << 53;
    let json = serde_json::to_string(drop);
    is_number(drop.id)
        && is_number(drop.version)
        && json.and_then(|json| serde_json::from_str::<SneakerDrop>(&json)).is_ok_and(|read| read == *drop)
}

/// How long a task that committed on this node may take to update the catalog, before the new version counts as another
/// node's. Reloading a drop during a rush costs as much as it has holders.
const OWN_COMMIT_DELAY: Duration = Duration::from_millis(20);
