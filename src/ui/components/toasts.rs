//! Shows the [`Toasts`], which screen readers announce.

use super::icons::Close;
use crate::{client::toasts::Toasts, text};
use leptos::prelude::*;

/// Rendered even without toasts: screen readers announce only changes of a live region that exists already.
#[component]
pub fn ToastRegion() -> impl IntoView {
    let toasts = expect_context::<Toasts>();
    view! {
        <section class="toasts" aria-label=text::MESSAGES aria-live="polite" aria-atomic="false">
            <For each=move || toasts.shown() key=|toast| toast.id let(toast)>
                <p class="toast" data-kind=toast.kind>
                    <span>{toast.text}</span>
                    <button type="button" aria-label=text::DISMISS on:click=move |_| toasts.dismiss(toast.id)>
                        <Close />
                    </button>
                </p>
            </For>
        </section>
    }
}
