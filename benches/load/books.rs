//! What must hold in the database after every measurement, or its figures are worth nothing.

use sqlx::PgPool;

/// Questions whose answer is how often the invariant is broken.
const INVARIANTS: [(&str, &str); 6] = [
    (
        "available is never below zero, held pairs are the active reservations, and no pair was made or lost",
        "select count(*) from drop_sizes s
         left join (select size_id, count(*) as n from reservations where status = 'active' group by size_id) active
             on active.size_id = s.id
         left join (select size_id, count(*) as n from purchases group by size_id) sold on sold.size_id = s.id
         where available_stock < 0 or held_stock <> coalesce(active.n, 0)
             or available_stock + coalesce(active.n, 0) + coalesce(sold.n, 0) <> total_stock",
    ),
    (
        "one active reservation per user and drop",
        "select count(*) from (select from reservations where status = 'active'
         group by user_id, drop_id having count(*) > 1) twice",
    ),
    (
        "one purchase per reservation",
        "select count(*) from (select from purchases group by reservation_id having count(*) > 1) twice",
    ),
    (
        "completed reservations are those that were bought, by their holder and of the same size",
        "select count(*) from (select id, user_id, size_id from reservations where status = 'completed') r
         full join (select reservation_id, user_id, size_id from purchases) p
             on p.reservation_id = r.id and p.user_id = r.user_id and p.size_id = r.size_id
         where r.id is null or p.reservation_id is null",
    ),
    (
        "nothing is bought at or after it lapsed",
        "select count(*) from purchases p join reservations r on r.id = p.reservation_id
         where p.created_at >= r.expires_at",
    ),
    (
        "nobody has more than the limit",
        "select count(*) from (
             select had.drop_id, had.user_id from drops d join (
                 select drop_id, user_id from purchases
                 union all select drop_id, user_id from reservations where status = 'active'
             ) had on had.drop_id = d.id
             where d.limit_per_user is not null
             group by had.drop_id, had.user_id, d.limit_per_user having count(*) > d.limit_per_user
         ) beyond",
    ),
];

/// What was in the books before a measurement, to compare with what was promised in it.
pub(crate) struct Books {
    reservations: i64,
    purchases: i64,
}

impl Books {
    pub(crate) async fn open(db: &PgPool) -> Self {
        let reservations = number(db, "select count(*) from reservations").await;
        let purchases = number(db, "select count(*) from purchases").await;
        Self { reservations, purchases }
    }

    /// Holds the database to the invariants, and to what the server said: every reservation and purchase that it
    /// acknowledged is there. Answers that were lost may or may not have been carried out.
    pub(crate) async fn close(self, db: &PgPool, promised: Promised) {
        for (claim, broken) in INVARIANTS {
            assert_eq!(number(db, broken).await, 0, "broken: {claim}");
        }
        let now = Self::open(db).await;
        let most = |acknowledged| acknowledged..=acknowledged + promised.unanswered;
        let made = now.reservations - self.reservations;
        assert!(most(promised.reservations).contains(&made), "{made} reservations were made for {promised:?}");
        let made = now.purchases - self.purchases;
        assert!(most(promised.purchases).contains(&made), "{made} purchases were made for {promised:?}");
    }
}

/// What the server acknowledged.
#[derive(Debug, Default)]
pub(crate) struct Promised {
    pub(crate) reservations: i64,
    pub(crate) purchases: i64,
    /// Requests without an answer, or with one that says nothing for sure.
    pub(crate) unanswered: i64,
}

async fn number(db: &PgPool, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(db).await.unwrap_or_else(|error| panic!("{sql}: {error}"))
}
