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
//! `server::run` starts everything; `server::router` lists the routes.

// A page's view is a single, deeply nested type. Optimised builds exceed the default limit of 128 on it.
#![recursion_limit = "256"]

pub mod client;
pub mod domain;
pub mod rpc;
#[cfg(feature = "ssr")]
pub mod server;
pub mod text;
pub mod ui;

/// Starts the page. Called by the script in its head once the module is loaded.
///
/// `is_intact`: whether the document is as it was served. Then it is hydrated; otherwise it would be bound to the wrong elements,
/// and is rendered anew. After a panic the module is dead, and `on_panic` is called with its message.
#[cfg(feature = "hydrate")]
#[wasm_bindgen::prelude::wasm_bindgen]
pub fn start(is_intact: bool, on_panic: js_sys::Function) {
    use leptos::prelude::document;
    use wasm_bindgen::{JsCast, JsValue};

    thread_local! {
        static ON_PANIC: std::cell::OnceCell<js_sys::Function> = const { std::cell::OnceCell::new() };
    }
    ON_PANIC.with(|known| known.set(on_panic)).expect("a module is started once");
    std::panic::set_hook(Box::new(|panic| {
        let panic = panic.to_string().into();
        ON_PANIC.with(|on_panic| on_panic.get().map(|on_panic| on_panic.call1(&JsValue::NULL, &panic)));
    }));
    let element = |id| document().get_element_by_id(id);
    let data = element(ui::app::FIRST_PAINT).and_then(|data| data.text_content());
    let data = data.expect("the document contains the first paint");
    let first_paint = client::json::read(&data).expect("the first paint is that of this build");
    let root = element(ui::app::ROOT).expect("the document contains the page").unchecked_into::<web_sys::HtmlElement>();
    let app = || ui::app::App(ui::app::AppProps { first_paint });
    if is_intact {
        leptos::mount::hydrate_from(root, app).forget();
    } else {
        root.set_inner_html("");
        leptos::mount::mount_to(root, app).forget();
    }
}
