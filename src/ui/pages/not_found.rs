//! What is shown where there is nothing.

use crate::text;
use leptos::prelude::*;

/// Says so, and where to go.
#[component]
pub fn NotFound() -> impl IntoView {
    view! {
        <section class="not-found">
            <h1>{text::NOT_FOUND}</h1>
            <p>{text::NOT_FOUND_HINT}</p>
            <a href="/" class="secondary">
                {text::TO_THE_DROPS}
            </a>
        </section>
    }
}
