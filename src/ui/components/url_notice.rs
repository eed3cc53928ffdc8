//! The answer to a form that was sent without WebAssembly, and refused.

use crate::ui::router::Route;
use leptos::prelude::*;

/// Shows the refusal until the visitor goes elsewhere.
#[component]
pub fn UrlNotice(
    /// What the server has to say about the address that it was asked for.
    notice: Option<String>,
) -> impl IntoView {
    let route = expect_context::<Route>();
    let refused_at = route.address.get_untracked();
    move || {
        let notice = notice.clone().filter(|_| route.address.with(|address| *address == refused_at));
        notice.map(|notice| view! { <p class="notice" role="alert">{notice}</p> })
    }
}
