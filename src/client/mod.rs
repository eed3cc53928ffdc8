//! Behaviour that runs only in the browser.

pub mod clock;
pub mod forms;
pub mod json;
pub mod listen;
pub mod schedule;
pub mod socket;
pub mod store;
pub mod toasts;
