//! Short messages that come and go, read out by screen readers as they come.

use super::icons::Close;
use crate::text;
use gloo_timers::callback::Timeout;
use leptos::prelude::*;

/// How long a toast stays; errors stay longer because they ask for something.
const SHOWN_MS: u32 = 6_000;
const ERROR_SHOWN_MS: u32 = 10_000;

/// How many are shown at once; the oldest make room.
const MOST_SHOWN: usize = 4;

/// The toasts on the page.
#[derive(Clone, Copy)]
pub struct Toasts {
    shown: RwSignal<Vec<Toast>>,
    next_id: StoredValue<u32>,
}

#[derive(Clone, PartialEq)]
struct Toast {
    id: u32,
    kind: &'static str,
    text: String,
}

impl Toasts {
    /// No toasts.
    pub fn new() -> Self {
        Self { shown: RwSignal::default(), next_id: StoredValue::new(0) }
    }

    /// Something the visitor wanted has happened.
    pub fn success(self, text: String) {
        self.show("success", text, SHOWN_MS);
    }

    /// Something happened by itself.
    pub fn notice(self, text: String) {
        self.show("notice", text, SHOWN_MS);
    }

    /// Something the visitor wanted did not happen.
    pub fn error(self, text: String) {
        self.show("error", text, ERROR_SHOWN_MS);
    }

    fn show(self, kind: &'static str, text: String, shown_ms: u32) {
        let id = self.next_id.get_value();
        self.next_id.set_value(id + 1);
        self.shown.update(|shown| {
            shown.push(Toast { id, kind, text });
            let excess = shown.len().saturating_sub(MOST_SHOWN);
            shown.drain(..excess);
        });
        Timeout::new(shown_ms, move || self.dismiss(id)).forget();
    }

    fn dismiss(self, id: u32) {
        self.shown.update(|shown| shown.retain(|toast| toast.id != id));
    }
}

impl Default for Toasts {
    fn default() -> Self {
        Self::new()
    }
}

/// Where toasts appear. It is there from the start, as a live region must be before its text.
#[component]
pub fn ToastRegion() -> impl IntoView {
    let toasts = expect_context::<Toasts>();
    view! {
        <section class="toasts" aria-label=text::MESSAGES aria-live="polite" aria-atomic="false">
            <For each=move || toasts.shown.get() key=|toast| toast.id let(toast)>
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
