//! Which history of the database this node has read.

use chrono::{DateTime, Utc};

/// A database that was restored, or failed over to a server that lacks the last commits, continues another history: the
/// same version then means another state. Each history has an epoch of its own, by which pages tell them apart.
#[derive(Default)]
pub(super) struct History {
    /// The system identifier and the timeline of the PostgreSQL server.
    server: Option<String>,
    /// Set when this node saw that the same server went back.
    went_back_at: Option<i64>,
}

impl History {
    /// Takes in which server answered; returns whether another one did before.
    pub(super) fn set_server(&mut self, server: String) -> bool {
        let before = self.server.replace(server);
        before.is_some() && before != self.server
    }

    /// Begins another epoch. Its time, in microseconds, tells it from others of the same server.
    pub(super) fn begin_epoch(&mut self, now: DateTime<Utc>) {
        self.went_back_at = Some(now.timestamp_micros());
    }

    pub(super) fn epoch(&self) -> String {
        let server = self.server.as_deref().unwrap_or_default();
        self.went_back_at.map_or(server.to_owned(), |time| format!("{server}.{time}"))
    }
}
