//! Sneakdrop: limited-edition sneaker drops with live stock and 60-second reservations, never oversold.
//!
//! The same crate is the server (feature `ssr`) and the page (feature `hydrate`, compiled to WebAssembly). In reading
//! order:
//!
//! 1. [`domain`]: drops, reservations and purchases, the events of `/ws`, the errors. It imports nothing else of the
//!    crate.
//! 2. [`text`]: the text of the pages and of every error.
//! 3. `server::inventory`: the only code that changes stock, in transactions under a drop's row lock. It uses
//!    `server::database`: the connection pool, and what the database's errors mean.
//! 4. `server::catalog`, then `server::realtime`: a committed change, on its way to every open page.
//! 5. `server::http`: pages, the documents around them, and the REST API; `server::auth`: sessions and usernames;
//!    `server::jobs`: what runs at intervals.
//! 6. [`rpc`]: the server functions that the page calls.
//! 7. [`client`]: what runs only in the browser: the live state, the socket that updates it, the server's clock, forms.
//! 8. [`ui`]: the pages, rendered on the server and hydrated in the browser.
//!
//! `server::run` starts everything; `server::router` lists the routes. In the browser, `start` is the beginning.

// A page's view is a single, deeply nested type. Optimised builds exceed the default limit of 128 on it.
#![recursion_limit = "256"]

pub mod client;
pub mod domain;
pub mod rpc;
#[cfg(feature = "ssr")]
pub mod server;
#[cfg(feature = "hydrate")]
pub mod start;
pub mod text;
pub mod ui;
