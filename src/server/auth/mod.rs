//! Sessions of visitors and of the admin, accounts, the caller of a request and where it comes from.

pub(crate) mod accounts;
pub mod admin;
pub(crate) mod caller;
pub mod origin;
pub mod session;
mod username;
