//! The invariants of the stored data, shared by the integration tests and the load test.

use sqlx::PgPool;

/// Asserts that every invariant holds in the committed state of the database.
pub(crate) async fn assert_invariants(db: &PgPool) {
    let mut broken = String::new();
    for (invariant, violations) in INVARIANTS {
        let violations: Vec<String> = sqlx::query_scalar(violations)
            .fetch_all(db)
            .await
            .unwrap_or_else(|error| panic!("cannot check that {invariant}: {error}"));
        if violations.is_empty() {
            continue;
        }
        broken += &format!("{invariant}; violated {} times:\n", violations.len());
        for violation in violations.iter().take(VIOLATIONS_SHOWN) {
            broken += &format!("    {violation}\n");
        }
    }
    assert!(broken.is_empty(), "broken invariants:\n{broken}");
}

/// How many violations of one invariant are printed; a broken one may be violated thousands of times.
const VIOLATIONS_SHOWN: usize = 10;

/// Each invariant with a query that returns a description of each violation.
const INVARIANTS: [(&str, &str); 7] = [
    (
        "available is not negative, held is the number of active reservations, and available + active + sold is total",
        "select format('drop %s, %s: total %s, available %s, held %s; active %s, sold %s', s.drop_id, s.label,
                       total_stock, available_stock, held_stock, coalesce(active.n, 0), coalesce(sold.n, 0))
         from drop_sizes s
         left join (select size_id, count(*) as n from reservations where status = 'active' group by size_id) active
             on active.size_id = s.id
         left join (select size_id, count(*) as n from purchases where status = 'completed' group by size_id) sold on sold.size_id = s.id
         where available_stock < 0 or held_stock <> coalesce(active.n, 0)
             or available_stock + coalesce(active.n, 0) + coalesce(sold.n, 0) <> total_stock",
    ),
    (
        "a drop is sold out since some time exactly if no pair of it is left",
        "select format('drop %s: sold out since %s', id, sold_out_since) from drops d
         where (sold_out_since is null)
             <> exists (select from drop_sizes where drop_id = d.id and available_stock + held_stock > 0)",
    ),
    (
        "a user has at most one active reservation of a drop",
        "select format('user %s, drop %s: %s active reservations', user_id, drop_id, count(*))
         from reservations where status = 'active' group by user_id, drop_id having count(*) > 1",
    ),
    (
        "a reservation has at most one purchase",
        "select format('reservation %s: %s purchases', reservation_id, count(*))
         from purchases group by reservation_id having count(*) > 1",
    ),
    (
        "the completed reservations are those with a purchase, of the same user, drop, size and price",
        "select format('completed reservation %s, purchase %s',
                       coalesce(r.id::text, 'missing'), coalesce(p.id::text, 'missing'))
         from (select * from reservations where status = 'completed') r
         full join purchases p on (p.reservation_id, p.user_id, p.drop_id, p.size_id, p.price_cents)
             = (r.id, r.user_id, r.drop_id, r.size_id, r.price_cents)
         where r.id is null or p.reservation_id is null",
    ),
    (
        "a purchase is made before its reservation expires",
        "select format('purchase %s at %s, reservation %s until %s', p.id, p.created_at, r.id, r.expires_at)
         from purchases p join reservations r on r.id = p.reservation_id where p.created_at >= r.expires_at",
    ),
    (
        // One that was set later does not take back what was sold before.
        "purchases and active reservations of a user are within the limit per user, if it never changed",
        "select format('user %s, drop %s: %s of at most %s', taken.user_id, d.id, count(*), d.limit_per_user)
         from drops d join (
             select drop_id, user_id from purchases where status = 'completed'
             union all select drop_id, user_id from reservations where status = 'active'
         ) taken on taken.drop_id = d.id
         where d.limit_per_user is not null
             and not exists (select from drop_changes where drop_id = d.id and before ? 'limit_per_user')
         group by d.id, taken.user_id, d.limit_per_user having count(*) > d.limit_per_user",
    ),
];
