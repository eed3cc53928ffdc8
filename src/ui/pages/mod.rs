//! One file for each page.

pub mod dashboard;
pub mod drop;
pub mod not_found;
pub mod past_drops;
pub mod purchases;
