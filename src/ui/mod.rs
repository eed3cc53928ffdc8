//! The user interface: rendered on the server, hydrated in the browser.

pub mod actions;
pub mod app;
pub mod card_state;
pub mod components;
pub mod engagement;
pub mod filter;
pub mod pages;
pub mod router;
