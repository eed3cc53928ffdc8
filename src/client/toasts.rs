//! The short messages that appear on the page and disappear by themselves.

use gloo_timers::callback::Timeout;
use leptos::prelude::*;

/// The toasts that are shown.
#[derive(Clone, Copy)]
pub struct Toasts {
    shown: RwSignal<Vec<Toast>>,
    next_id: StoredValue<u32>,
}

#[derive(Clone, PartialEq)]
pub struct Toast {
    pub id: u32,
    /// `success`, `notice` or `error`; the style sheet knows these names.
    pub kind: &'static str,
    pub text: String,
}

const SHOWN_MS: u32 = 6_000;

/// Longer than [`SHOWN_MS`], because an error requires an action of the visitor.
const ERROR_SHOWN_MS: u32 = 10_000;

/// The maximum on the page; a further toast replaces the oldest.
const MAX_SHOWN: usize = 4;

impl Toasts {
    pub fn new() -> Self {
        Self { shown: RwSignal::default(), next_id: StoredValue::new(0) }
    }

    /// The toasts on the page, oldest first; subscribes to them.
    pub fn shown(self) -> Vec<Toast> {
        self.shown.get()
    }

    /// For an action of the visitor that succeeded.
    pub fn success(self, text: String) {
        self.show("success", text, SHOWN_MS);
    }

    /// For an event that the visitor did not cause.
    pub fn notice(self, text: String) {
        self.show("notice", text, SHOWN_MS);
    }

    /// For an action of the visitor that failed.
    pub fn error(self, text: String) {
        self.show("error", text, ERROR_SHOWN_MS);
    }

    fn show(self, kind: &'static str, text: String, shown_ms: u32) {
        let id = self.next_id.get_value();
        self.next_id.set_value(id + 1);
        self.shown.update(|shown| {
            shown.push(Toast { id, kind, text });
            let excess = shown.len().saturating_sub(MAX_SHOWN);
            shown.drain(..excess);
        });
        Timeout::new(shown_ms, move || self.dismiss(id)).forget();
    }

    pub fn dismiss(self, id: u32) {
        self.shown.update(|shown| shown.retain(|toast| toast.id != id));
    }
}

impl Default for Toasts {
    fn default() -> Self {
        Self::new()
    }
}
