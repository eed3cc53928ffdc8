//! The invariants of the stored data, shared by the integration tests and the load test. The queries are the server's.

use sneakdrop::server::inventory::invariants::check;
use sqlx::PgPool;

/// Asserts that every invariant holds in the committed state of the database.
pub(crate) async fn assert_invariants(db: &PgPool) {
    let mut connection = db.acquire().await.expect("a free connection");
    let checked =
        check(&mut connection, None).await.unwrap_or_else(|error| panic!("cannot check the invariants: {error}"));
    let mut broken = String::new();
    for checked in checked.into_iter().filter(|checked| !checked.holds) {
        broken += &format!("{}; violated {} times:\n", checked.invariant, checked.violations);
        for violation in checked.examples {
            broken += &format!("    {violation}\n");
        }
    }
    assert!(broken.is_empty(), "broken invariants:\n{broken}");
}
