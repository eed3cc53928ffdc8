//! Listeners of the whole page.

use leptos::prelude::window;
use wasm_bindgen::{JsCast, closure::Closure};
use web_sys::Event;

/// Calls `on_event` for each event of this name that reaches the window, for as long as the document lives. Leptos's
/// `window_event_listener` is compiled anew for each.
pub fn listen(name: &str, on_event: impl FnMut(Event) + 'static) {
    boxed(name, Box::new(on_event));
}

fn boxed(name: &str, on_event: Box<dyn FnMut(Event)>) {
    let on_event = Closure::wrap(on_event);
    // Fails only for what is no function.
    let _ = window().add_event_listener_with_callback(name, on_event.as_ref().unchecked_ref());
    on_event.forget();
}
