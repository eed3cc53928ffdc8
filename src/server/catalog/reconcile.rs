//! How the catalog learns what others committed, and what this node committed without receiving the reply.

use super::{Catalog, Known, customers::Customers, entry::Entry};
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
    /// Drops of which something is not known, with their version.
    changed: BTreeMap<i64, i64>,
    /// Known drops that are not published any more, or do not exist.
    removed: Vec<i64>,
    /// Known drops that are not current any more.
    past: Vec<i64>,
}

impl Catalog {
    /// Reads the database's clock and the versions of all current drops, then the drops that this node has in another version.
    pub async fn reconcile(&self, pool: &Pool, clock: &DatabaseClock) -> Result<Outdated, DropError> {
        let Comparison { mut changed, removed, past } = self.compare(pool, clock).await?;
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
        changed.retain(|drop_id, version| self.is_behind(*drop_id, *version));
        if !changed.is_empty() {
            tokio::time::sleep(OWN_COMMIT_DELAY).await;
            changed.retain(|drop_id, version| self.is_behind(*drop_id, *version));
        }
        if changed.is_empty() {
            return Ok(Outdated::Users(vec![]));
        }
        let read = self.read_drops(pool, &changed.into_keys().collect::<Vec<_>>()).await?;
        let changed_users = read.into_iter().flat_map(|drop| drop.merge_into(&mut self.write())).collect();
        self.mark_changed();
        Ok(Outdated::Users(changed_users))
    }

    /// Replaces everything that is known, and begins another epoch.
    async fn reload_all(&self, pool: &Pool, clock: &DatabaseClock) -> Result<Outdated, DropError> {
        tracing::warn!("the database went back to an earlier state, or is another one: all drops are read anew");
        let mut connection = PoolGuard::acquire(pool).await.map_err(fault)?;
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
        let (mut ids, mut versions, mut are_complete) = (vec![], vec![], vec![]);
        for (id, version, is_complete) in self.read().versions() {
            ids.push(id);
            versions.push(version);
            are_complete.push(is_complete);
        }
        let mut connection = PoolGuard::acquire_for(Purpose::Sale, pool).await.map_err(fault)?;
        let requested = Instant::now();
        let rows = sqlx::query!(
            r#"select clock_timestamp() as "now!", current_setting('transaction_read_only') = 'on' as "is_read_only!",
                   server_identity() as server,
                   d.id as "id?", d.version as "version?", known.id as known_id, known.version as known_version,
                   exists (select from drops where id = known.id and status = 'published') as "exists!"
               from (select) as always
               left join (
                   current_drops d full join unnest($1::bigint[], $2::bigint[], $3::boolean[])
                       as known (id, version, is_complete) on known.id = d.id
               ) on known.version is distinct from d.version or not known.is_complete"#,
            &ids,
            &versions,
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
        connection.put_back();
        clock.set(first.now, requested, Instant::now());
        let mut known = self.write();
        let is_other_server = first.server.clone().is_some_and(|server| known.history.set_server(server));
        // What was known had been committed.
        let is_lower =
            rows.iter().any(|row| row.version.zip(row.known_version).is_some_and(|(version, known)| version < known));
        known.is_doubted |= is_other_server || is_lower;
        drop(known);
        let mut comparison = Comparison { changed: BTreeMap::new(), removed: vec![], past: vec![] };
        for row in rows {
            match (row.id.zip(row.version), row.known_id) {
                (Some((id, version)), _) => drop(comparison.changed.insert(id, version)),
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
        let (drops, mut purchasers) = with_timeout(query_drops(&mut connection, &[drop_id], true)).await?;
        connection.put_back();
        let read = drops.into_iter().find(is_readable);
        Ok(read.map(|drop| SneakerDrop { latest_purchasers: purchasers.remove(&drop_id).unwrap_or_default(), ..drop }))
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

    /// Whether the catalog is older than this version of the drop, or incomplete.
    fn is_behind(&self, drop_id: i64, version: i64) -> bool {
        self.read().drops.get(&drop_id).is_none_or(|entry| entry.known_version() < version)
    }

    /// Reads drops with their customers in one snapshot.
    async fn read_drops(&self, pool: &Pool, ids: &[i64]) -> Result<Vec<ReadDrop>, DropError> {
        let last_ids = self.last_ids(ids);
        let mut connection = PoolGuard::begin_snapshot(pool).await.map_err(fault)?;
        let read = with_timeout(async {
            let (drops, mut purchasers) = query_drops(&mut connection, ids, true).await?;
            let mut customers = query_customers(&mut connection, ids, last_ids).await?;
            let read = drops.into_iter().map(|drop| {
                let purchasers = purchasers.remove(&drop.id).unwrap_or_default();
                ReadDrop { purchasers, customers: customers.remove(&drop.id).unwrap_or_default(), drop }
            });
            Ok(read.collect())
        });
        let read = read.await?;
        connection.rollback().await.map_err(fault)?;
        connection.put_back();
        Ok(read)
    }

    /// For each drop the newest purchase that its customers include, and the newest cancellation that they know of.
    fn last_ids(&self, drop_ids: &[i64]) -> (Vec<i64>, Vec<i64>) {
        let known = self.read();
        let last_ids = |customers: &Customers| (customers.last_purchase_id, customers.last_cancellation_id);
        drop_ids.iter().map(|id| known.drops.get(id).map_or((0, 0), |entry| last_ids(&entry.customers))).unzip()
    }
}

impl Known {
    /// Every drop with its version and whether everything of it is known, also those that cannot be read.
    fn versions(&self) -> impl Iterator<Item = (i64, i64, bool)> {
        let drops = self.drops.iter().map(|(id, entry)| (*id, entry.drop.version, entry.customers.is_complete));
        drops.chain(self.unreadable.iter().map(|(id, version)| (*id, *version, true)))
    }
}

/// Drops with their sizes, and the newest purchasers of each; with `is_published` not those of drafts and archived ones.
pub(super) async fn query_drops(
    connection: &mut PgConnection,
    ids: &[i64],
    is_published: bool,
) -> Result<(Vec<SneakerDrop>, HashMap<i64, Vec<Purchaser>>), sqlx::Error> {
    let rows = sqlx::query!(
        r#"select d.id, d.name, d.price_cents, d.image_url, d.limit_per_user, d.version, d.starts_at, d.ends_at, d.is_paused,
                coalesce(t.description, '') as "description!", s.label, s.total_stock, s.available_stock, s.held_stock
         from drops d join drop_sizes s on s.drop_id = d.id left join drop_descriptions t on t.drop_id = d.id
         where d.id = any($1) and (d.status = 'published' or not $2) order by d.id, s.position"#,
        ids,
        is_published
    );
    let mut drops: Vec<SneakerDrop> = vec![];
    for row in rows.fetch_all(&mut *connection).await? {
        if drops.last().is_none_or(|drop| drop.id != row.id) {
            drops.push(SneakerDrop {
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
            });
        }
        let drop = drops.last_mut().expect("one was pushed");
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
    let mut purchasers: HashMap<i64, Vec<Purchaser>> = HashMap::new();
    for row in rows.fetch_all(connection).await? {
        let (purchase_id, purchased_at) = (row.purchase_id, row.created_at.into());
        let purchaser = Purchaser { id: row.id, username: row.username, purchase_id, purchased_at };
        purchasers.entry(row.drop_id).or_default().push(purchaser);
    }
    Ok((drops, purchasers))
}

/// What changed of a drop's customers, beside its holders.
#[derive(Default)]
struct ReadCustomers {
    /// The holders, and when their reservations expire.
    held_until: HashMap<i64, DateTime<Utc>>,
    /// Users and their purchases since the last known one; empty if the drop has no limit.
    bought: Vec<(i64, i64)>,
    /// Users and the cancellations of their purchases since the last known one.
    cancelled: Vec<(i64, i64)>,
}

async fn query_customers(
    connection: &mut PgConnection,
    ids: &[i64],
    (last_purchase_ids, last_cancellation_ids): (Vec<i64>, Vec<i64>),
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
        &last_purchase_ids
    );
    for row in buyers.fetch_all(&mut *connection).await? {
        customers.entry(row.drop_id).or_default().bought.push((row.user_id, row.id));
    }
    let cancelled = sqlx::query!(
        r#"select c.drop_id, c.user_id as "user_id!", c.id
           from unnest($1::bigint[], $2::bigint[]) as known (drop_id, last_id)
           join drop_changes c on c.drop_id = known.drop_id and c.id > known.last_id
           where c.user_id is not null"#,
        ids,
        &last_cancellation_ids
    );
    for row in cancelled.fetch_all(connection).await? {
        customers.entry(row.drop_id).or_default().cancelled.push((row.user_id, row.id));
    }
    Ok(customers)
}

/// A drop as the database has it.
struct ReadDrop {
    drop: SneakerDrop,
    purchasers: Vec<Purchaser>,
    customers: ReadCustomers,
}

impl ReadDrop {
    /// Takes the drop into the catalog, or leaves it out if no page could read it. Returns the users whose reservations or
    /// purchases changed.
    fn merge_into(self, known: &mut Known) -> Vec<i64> {
        let Self { drop, purchasers, customers: ReadCustomers { held_until, bought, cancelled } } = self;
        let (id, version) = (drop.id, drop.version);
        if !is_readable(&drop) {
            if known.unreadable.insert(id, version).is_none() {
                tracing::error!(drop_id = id, "a drop is left out, because pages could not read it");
            }
            known.remove(id);
            return vec![];
        }
        known.unreadable.remove(&id);
        let mut changed_users = vec![];
        let entry = match known.drops.entry(id) {
            btree_map::Entry::Vacant(vacant) => vacant.insert(Entry::new(drop, purchasers)),
            btree_map::Entry::Occupied(known) => {
                let entry = known.into_mut();
                changed_users.extend(entry.replace(drop, purchasers));
                entry
            }
        };
        changed_users.extend(entry.customers.changed_users(&held_until));
        for (user_id, cancellation_id) in cancelled {
            changed_users.push(user_id);
            entry.customers.last_cancellation_id = entry.customers.last_cancellation_id.max(cancellation_id);
        }
        // Otherwise a commit of this node came in between, and what was read is older.
        if entry.drop.version == version {
            entry.customers.complete(held_until, bought);
        }
        changed_users
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
