//! The pages that live: one file for each. What changes only with its document is rendered by the server alone, see
//! [`server_page`].

pub mod dashboard;
pub mod drop;
pub mod not_found;
pub mod server_page;
