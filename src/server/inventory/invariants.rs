//! What holds in every committed state of the database. The proof of a drop, the tests and the benchmark ask the same queries.

use serde::Serialize;
use sqlx::{AssertSqlSafe, PgConnection};

/// Looks for violations of every invariant, in one drop or in all.
pub async fn check(connection: &mut PgConnection, drop_id: Option<i64>) -> Result<Vec<Checked>, sqlx::Error> {
    let mut checked = vec![];
    for (invariant, violations) in INVARIANTS {
        let query = format!("select violation, count(*) over () from ({violations}) v (violation) limit {EXAMPLES}");
        let found = sqlx::query_as::<_, (String, i64)>(AssertSqlSafe(query)).bind(drop_id);
        let found = found.fetch_all(&mut *connection).await?;
        checked.push(Checked {
            invariant,
            holds: found.is_empty(),
            violations: found.first().map_or(0, |(_, count)| *count),
            examples: found.into_iter().map(|(violation, _)| violation).collect(),
        });
    }
    Ok(checked)
}

/// An invariant, and how often it was violated.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Checked {
    pub invariant: &'static str,
    pub holds: bool,
    pub violations: i64,
    /// The first violations.
    pub examples: Vec<String>,
}

/// How many violations of one invariant are told; a broken one may be violated thousands of times.
const EXAMPLES: usize = 10;

/// Each invariant with a query that returns a description of each violation, in the drop `$1`, or in all if that is null. Each
/// table is searched for the drop; `offset 0` keeps the planner from reading the rows of all drops in the order of an index.
const INVARIANTS: [(&str, &str); 8] = [
    (
        "available is not negative, held is the number of active reservations, and available + active + sold is total",
        "select format('drop %s, %s: total %s, available %s, held %s; active %s, sold %s', s.drop_id, s.label,
                       total_stock, available_stock, held_stock, coalesce(active.n, 0), coalesce(sold.n, 0))
         from drop_sizes s
         left join (
             select size_id, count(*) as n from reservations
             where status = 'active' and ($1::bigint is null or drop_id = $1) group by size_id
         ) active on active.size_id = s.id
         left join (
             select size_id, count(*) as n from purchases
             where status = 'completed' and ($1::bigint is null or drop_id = $1) group by size_id
         ) sold on sold.size_id = s.id
         where ($1::bigint is null or s.drop_id = $1)
             and (available_stock < 0 or held_stock <> coalesce(active.n, 0)
                 or available_stock + coalesce(active.n, 0) + coalesce(sold.n, 0) <> total_stock)",
    ),
    (
        "the total of each size is the one that the audit log ends with",
        "select format('drop %s, %s: total %s, by the log %s', drop_id, label, s.total_stock, logged.total)
         from (
             select distinct on (c.drop_id, label) c.drop_id, label, (c.after -> 'sizes' ->> label)::bigint as total
             from drop_changes c cross join lateral jsonb_object_keys(
                 coalesce(c.before -> 'sizes', '{}') || coalesce(c.after -> 'sizes', '{}')
             ) label
             where ($1::bigint is null or c.drop_id = $1) and exists (select from drops where id = c.drop_id)
             order by c.drop_id, label, c.id desc
         ) logged
         full join (select * from drop_sizes where $1::bigint is null or drop_id = $1) s using (drop_id, label)
         where s.total_stock is distinct from logged.total",
    ),
    (
        "the cancelled purchases are those that were cancelled by the audit log, each once",
        "select format('purchase %s of drop %s: %s, cancelled %s times by the log',
                       coalesce(p.id, c.purchase_id), coalesce(p.drop_id, c.drop_id), coalesce(p.status, 'not cancelled'),
                       coalesce(c.n, 0))
         from (
             select id, drop_id, status from purchases
             where status = 'cancelled' and ($1::bigint is null or drop_id = $1)
         ) p
         full join (
             select purchase_id, drop_id, count(*) as n from drop_changes
             where action = 'cancelled' and ($1::bigint is null or drop_id = $1)
                 and exists (select from drops where id = drop_id)
             group by purchase_id, drop_id
         ) c on (c.purchase_id, c.drop_id) = (p.id, p.drop_id)
         where p.id is null or c.n is distinct from 1",
    ),
    (
        "a drop is sold out since some time exactly if no pair of it is left",
        "select format('drop %s: sold out since %s', id, sold_out_since) from drops d
         where ($1::bigint is null or id = $1)
             and (sold_out_since is null)
                 <> exists (select from drop_sizes where drop_id = d.id and available_stock + held_stock > 0)",
    ),
    (
        "a user has at most one active reservation of a drop",
        "select format('user %s, drop %s: %s active reservations', user_id, drop_id, count(*))
         from reservations where status = 'active' and ($1::bigint is null or drop_id = $1)
         group by user_id, drop_id having count(*) > 1",
    ),
    (
        "a reservation has at most one purchase",
        "select format('reservation %s: %s purchases', reservation_id, count(*))
         from (select * from purchases where $1::bigint is null or drop_id = $1 offset 0) p
         group by reservation_id having count(*) > 1",
    ),
    (
        "the completed reservations are those with a purchase, of the same user, drop, size and price, made before they expire",
        "select format('completed reservation %s until %s, purchase %s at %s',
                       coalesce(r.id::text, 'missing'), r.expires_at, coalesce(p.id::text, 'missing'), p.created_at)
         from (
             select * from reservations where status = 'completed' and ($1::bigint is null or drop_id = $1) offset 0
         ) r
         full join (select * from purchases where $1::bigint is null or drop_id = $1 offset 0) p on p.reservation_id = r.id
         where r.id is null or p.id is null or p.created_at >= r.expires_at
             or (p.user_id, p.drop_id, p.size_id, p.price_cents) <> (r.user_id, r.drop_id, r.size_id, r.price_cents)",
    ),
    (
        // One that was set later does not take back what was sold before.
        "purchases and active reservations of a user are within the limit per user, if it never changed",
        "select format('user %s, drop %s: %s of at most %s', taken.user_id, d.id, count(*), d.limit_per_user)
         from drops d join (
             select drop_id, user_id from purchases where status = 'completed'
             union all select drop_id, user_id from reservations where status = 'active'
         ) taken on taken.drop_id = d.id
         where ($1::bigint is null or d.id = $1) and d.limit_per_user is not null
             and not exists (select from drop_changes where drop_id = d.id and before ? 'limit_per_user')
         group by d.id, taken.user_id, d.limit_per_user having count(*) > d.limit_per_user",
    ),
];
