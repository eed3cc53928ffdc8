//! Sneakdrop: limited-edition sneaker drops with live stock, 60-second reservations and no oversell.
//!
//! The same crate is the server (feature `ssr`) and the page (feature `hydrate`, compiled to WebAssembly). Read it in
//! this order:
//!
//! 1. [`domain`]: what a drop, a reservation and a purchase are, and the rules that need no database;
//! 2. [`error`] and [`words`]: why a request gets nothing, and how people are told;
//! 3. `server::inventory`: the only code that changes stock;
//! 4. `server::{catalog, broadcast, socket}`: from a committed change to every open tab;
//! 5. `server::{rest, pages}` and [`api`]: the two ways in, over REST and over server functions;
//! 6. [`live`], [`clock`], [`call`] and [`actions`]: the browser's side of the socket, of the server's clock, and of a
//!    click; `wire` reads what comes back;
//! 7. [`route`], [`app`], [`pages`], [`components`]: what people see, and [`document`] around it.

// A view is one type as deep as its page; optimised builds look through all of it.
#![recursion_limit = "256"]

pub mod client;
pub mod domain;
pub mod rpc;
#[cfg(feature = "ssr")]
pub mod server;
pub mod text;
pub mod ui;

/// Makes the server-rendered page live. Called by the script in its head once the module is loaded.
#[cfg(feature = "hydrate")]
#[wasm_bindgen::prelude::wasm_bindgen]
pub fn hydrate() {
    // A panic says in the console what it was, rather than "unreachable".
    console_error_panic_hook::set_once();
    let data = leptos::prelude::document().get_element_by_id(ui::app::FIRST_PAINT);
    let first_paint =
        data.and_then(|data| client::json::read(&data.text_content()?)).expect("the server sends it along");
    leptos::mount::hydrate_body(|| ui::app::App(ui::app::AppProps { first_paint }));
}
