//! The page for unknown addresses and drops that do not exist.

use crate::{text, ui::router::Page};
use leptos::prelude::*;

#[component]
pub fn NotFound() -> impl IntoView {
    view! {
        <section class="not-found">
            <h1 tabindex="-1">{text::NOT_FOUND}</h1>
            <p>{text::NOT_FOUND_HINT}</p>
            <a href=Page::Dashboard.to_string() class="secondary">
                {text::TO_THE_DROPS}
            </a>
        </section>
    }
}
