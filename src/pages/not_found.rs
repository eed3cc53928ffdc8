//! What is shown where there is nothing.

use crate::words;
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::components::A;

/// Says so, and where to go.
#[component]
pub fn NotFound() -> impl IntoView {
    view! {
        <Title text=words::NOT_FOUND />
        <section class="not-found">
            <h1>{words::NOT_FOUND}</h1>
            <p>{words::NOT_FOUND_HINT}</p>
            <A href="/" attr:class="secondary">
                {words::TO_THE_DROPS}
            </A>
        </section>
    }
}
