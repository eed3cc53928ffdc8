//! Text that changes.

use crate::client::schedule::effect;
use leptos::{html, prelude::*};

/// An element whose whole content is the text, and is written anew when it changes.
///
/// The text node that Leptos renders for a closure stands still for ever once a translator or an extension has put another in
/// its place. Boxed, because each closure would otherwise be compiled with all that is around it.
pub fn live(text: Box<dyn Fn() -> String + Send + Sync>) -> impl IntoView {
    let element = NodeRef::<html::Span>::new();
    let first = untrack(&text);
    let mut shown = first.clone();
    effect(move || {
        let text = text();
        if let Some(element) = element.get_untracked().filter(|_| shown != text) {
            element.set_text_content(Some(&text));
            shown = text;
        }
    });
    view! { <span node_ref=element>{first}</span> }
}
