//! One module a page.

pub mod dashboard;
pub mod drop;
pub mod not_found;
pub mod purchases;
