//! Text and attributes that change.

use crate::client::schedule::effect;
use leptos::{html, prelude::*, tachys::reactive_graph::SharedReactiveFunction};
use std::sync::{Arc, Mutex};

/// An element whose whole content is the text, and is written anew when it changes.
///
/// The text node that Leptos renders for a closure stands still for ever once a translator or an extension has put another in
/// its place. Boxed, because each closure would otherwise be compiled with all that is around it.
pub fn live(text: Box<dyn Fn() -> String + Send + Sync>) -> impl IntoView {
    let element = NodeRef::<html::Span>::new();
    let first = untrack(&text);
    let mut shown = None;
    effect(move || {
        let text = Some(text());
        if let Some(element) = element.get_untracked().filter(|_| shown != text) {
            // At first it may be there already, or this may stand in the place of something that is gone.
            if shown.is_some() || element.text_content() != text {
                element.set_text_content(text.as_deref());
            }
            shown = text;
        }
    });
    view! { <span node_ref=element>{first}</span> }
}

/// The value of an attribute, or `None` while the element has none. One type for all: see [`live`].
pub fn attribute(value: impl FnMut() -> Option<String> + Send + 'static) -> SharedReactiveFunction<Option<String>> {
    Arc::new(Mutex::new(value))
}

/// An attribute that is there or not.
pub fn flag(is_there: impl Fn() -> bool + Send + 'static) -> SharedReactiveFunction<Option<String>> {
    attribute(move || is_there().then(String::new))
}
