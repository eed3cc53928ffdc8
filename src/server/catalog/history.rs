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

    /// Whether the server said which one it is.
    pub(super) fn knows_server(&self) -> bool {
        self.server.is_some()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_server_or_timeline_and_a_step_back_are_another_epoch() {
        let mut history = History::default();
        assert!(!history.set_server("7.00000001".into()), "the first one is no other");
        assert!(!history.set_server("7.00000001".into()));
        let mut epochs = vec![history.epoch()];
        for other in ["7.00000002", "8.00000001"] {
            assert!(history.set_server(other.into()), "{other}");
            epochs.push(history.epoch());
        }
        for seconds in [1, 2] {
            history.begin_epoch(DateTime::from_timestamp(seconds, 0).expect("in range"));
            epochs.push(history.epoch());
        }
        let before = epochs.len();
        epochs.sort();
        epochs.dedup();
        assert_eq!(epochs.len(), before);
    }
}
