//! The way to PostgreSQL. Knows no table.

pub(crate) mod error;
pub(crate) mod guard;
pub(crate) mod migrate;
mod pool;

pub use pool::Pool;
pub(crate) use pool::{MAX_CONNECTIONS, Purpose};
