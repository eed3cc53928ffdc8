//! What is shown where there is nothing.

use crate::words;
use leptos::prelude::*;

/// Says so, and where to go.
#[component]
pub fn NotFound() -> impl IntoView {
    view! {
        <section class="not-found">
            <h1>{words::NOT_FOUND}</h1>
            <p>{words::NOT_FOUND_HINT}</p>
            <a href="/" class="secondary">
                {words::TO_THE_DROPS}
            </a>
        </section>
    }
}
