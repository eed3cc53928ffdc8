//! How much of a request's body is read.

/// Larger bodies are answered with 413.
pub(crate) const MAX_BODY_BYTES: usize = 64 * 1024;
