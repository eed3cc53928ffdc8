//! Inline icons. Screen readers ignore them, so their meaning must also stand in text beside them.

use leptos::prelude::*;

/// Two crossed strokes.
#[component]
pub fn Close() -> impl IntoView {
    view! { <Icon path="M5 5l10 10M15 5L5 15" /> }
}

/// A check mark.
#[component]
pub fn Check() -> impl IntoView {
    view! { <Icon path="M4 10.5l4 4 8-9" /> }
}

#[component]
fn Icon(path: &'static str) -> impl IntoView {
    view! {
        <svg class="icon" viewBox="0 0 20 20" aria-hidden="true">
            <path d=path fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="square" />
        </svg>
    }
}
