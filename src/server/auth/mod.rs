//! Who somebody is: sessions, accounts, and where requests come from.

pub(crate) mod accounts;
pub(crate) mod caller;
pub(crate) mod origin;
pub mod session;
