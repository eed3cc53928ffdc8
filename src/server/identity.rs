//! Who a user is, beyond their number.

use uuid::Uuid;

/// What a session proves. A database that was restored may give a user's number to somebody else; the random id is never
/// used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user's number.
    pub id: i64,
    pub public_id: Uuid,
}
