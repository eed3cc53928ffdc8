//! How the catalog learns what other nodes committed, and what this node committed without receiving the reply.

use super::{Catalog, entry::Entry};
use crate::{
    domain::{LISTED_PURCHASERS, Purchaser, Size, SneakerDrop, error::DropError},
    server::{
        clock::DatabaseClock,
        database::{
            Pool,
            error::{fault, with_timeout},
            guard::PoolGuard,
        },
    },
};
use chrono::{DateTime, Utc};
use std::{
    collections::{BTreeMap, HashMap, btree_map},
    time::{Duration, Instant},
};

impl Catalog {
    /// Reads the database's clock and the versions of all drops, then the drops that this node has in an older version.
    /// Returns the users whose reservations or purchases changed.
    pub async fn reconcile(&self, pool: &Pool, clock: &DatabaseClock) -> Result<Vec<i64>, DropError> {
        let mut changed = self.read_changed_versions(pool, clock).await?;
        changed.retain(|drop_id, version| self.is_behind(*drop_id, *version));
        if !changed.is_empty() {
            tokio::time::sleep(OWN_COMMIT_DELAY).await;
            changed.retain(|drop_id, version| self.is_behind(*drop_id, *version));
        }
        if changed.is_empty() {
            return Ok(vec![]);
        }
        self.reload(pool, &changed.into_keys().collect::<Vec<_>>()).await
    }

    /// The drops whose version in the database differs from the catalog's, with that version. Sets the clock from the same
    /// query.
    async fn read_changed_versions(&self, pool: &Pool, clock: &DatabaseClock) -> Result<BTreeMap<i64, i64>, DropError> {
        let (ids, versions): (Vec<i64>, Vec<i64>) =
            self.read().iter().map(|(id, entry)| (*id, entry.known_version())).unzip();
        let mut connection = PoolGuard::acquire(pool).await.map_err(fault)?;
        let requested = Instant::now();
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
            clock.set(row.now, requested, Instant::now());
        }
        Ok(rows.into_iter().filter_map(|row| row.id.zip(row.version)).collect())
    }

    /// Whether the catalog is older than this version of the drop, or incomplete.
    fn is_behind(&self, drop_id: i64, version: i64) -> bool {
        self.read().get(&drop_id).is_none_or(|entry| entry.known_version() < version)
    }

    /// Reads drops with their customers in one snapshot. Returns the users whose reservations or purchases changed.
    async fn reload(&self, pool: &Pool, ids: &[i64]) -> Result<Vec<i64>, DropError> {
        let mut connection = PoolGuard::begin_snapshot(pool).await.map_err(fault)?;
        let rows = sqlx::query!(
            "select d.id, d.name, d.price_cents, d.image_url, d.limit_per_user, d.version, d.starts_at, d.ends_at,
                    s.label, s.total_stock, s.available_stock, s.held_stock
             from drops d join drop_sizes s on s.drop_id = d.id
             where d.id = any($1) order by d.id, s.position",
            ids
        );
        let rows = with_timeout(rows.fetch_all(&mut *connection)).await?;
        let mut read: BTreeMap<i64, SneakerDrop> = BTreeMap::new();
        for row in rows {
            let drop = read.entry(row.id).or_insert_with(|| SneakerDrop {
                id: row.id,
                name: row.name,
                price_cents: row.price_cents,
                image_url: row.image_url,
                limit_per_user: row.limit_per_user,
                version: row.version,
                starts_at: row.starts_at.into(),
                ends_at: row.ends_at.map(Into::into),
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
            let (purchase_id, purchased_at) = (row.purchase_id, row.created_at.into());
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

        let mut changed_users = vec![];
        let mut drops = self.write();
        for (id, drop) in read {
            let purchasers = purchasers.remove(&id).unwrap_or_default();
            let version = drop.version;
            let entry = match drops.entry(id) {
                btree_map::Entry::Vacant(vacant) => vacant.insert(Entry::new(drop, purchasers)),
                btree_map::Entry::Occupied(known) => {
                    let entry = known.into_mut();
                    changed_users.extend(entry.replace(drop, purchasers));
                    entry
                }
            };
            let held_until = held_until.remove(&id).unwrap_or_default();
            changed_users.extend(entry.customers.changed_users(&held_until));
            // Otherwise a commit of this node came in between, and what was read is older.
            if entry.drop.version == version {
                entry.customers.complete(held_until, bought.remove(&id).unwrap_or_default());
            }
        }
        self.mark_changed();
        Ok(changed_users)
    }

    /// For each drop the newest purchase that its customers include.
    fn last_purchase_ids(&self, drop_ids: &[i64]) -> Vec<i64> {
        let drops = self.read();
        drop_ids.iter().map(|id| drops.get(id).map_or(0, |entry| entry.customers.last_purchase_id)).collect()
    }
}

/// How long a task that committed on this node may take to update the catalog, before the new version counts as another
/// node's. Reloading a drop during a rush costs as much as it has holders.
const OWN_COMMIT_DELAY: Duration = Duration::from_millis(20);
