//! Behaviour that runs only in the browser.

pub mod clock;
pub mod forms;
pub mod json;
pub mod store;
