//! The short messages that appear on the page and disappear by themselves.

use crate::client::schedule::after;
use leptos::prelude::*;

/// The toasts that are shown.
#[derive(Clone, Copy)]
pub struct Toasts {
    /// Each of them shows one at a time. A list of any length would be a kilobyte more for browsers to download.
    places: [RwSignal<Option<Toast>>; 4],
    memory: StoredValue<Memory>,
}

#[derive(Clone, Copy, Default)]
struct Memory {
    next_id: i64,
    /// Whether none goes.
    is_paused: bool,
}

#[derive(Clone)]
pub struct Toast {
    pub id: i64,
    /// `success`, `notice` or `error`; the style sheet knows these names.
    pub kind: &'static str,
    pub text: String,
}

const SHOWN_MS: u32 = 6_000;

/// Longer than [`SHOWN_MS`], because an error requires an action of the visitor.
const ERROR_SHOWN_MS: u32 = 10_000;

impl Toasts {
    pub fn new() -> Self {
        Self { places: [(); 4].map(|()| RwSignal::default()), memory: StoredValue::default() }
    }

    /// Where toasts are shown.
    pub fn places(self) -> [RwSignal<Option<Toast>>; 4] {
        self.places
    }

    /// For an action of the visitor that succeeded, which its card shows: only read to those who do not see it.
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

    /// Replaces one with the same text, so that a repeated message takes no further room, but in the next place: screen readers
    /// announce it again.
    fn show(self, kind: &'static str, text: String, shown_ms: u32) {
        let id = self.memory.get_value().next_id;
        self.memory.update_value(|memory| memory.next_id += 1);
        self.hide(|known| known.text == text);
        self.places[id as usize % 4].set(Some(Toast { id, kind, text }));
        self.dismiss_after(id, shown_ms);
    }

    fn dismiss_after(self, id: i64, shown_ms: u32) {
        let on_timeout = move || match self.memory.get_value().is_paused {
            true => self.dismiss_after(id, SHOWN_MS),
            false => self.dismiss(id),
        };
        after(shown_ms, on_timeout).forget();
    }

    /// While somebody points at the toasts or has the focus in them, none goes.
    pub fn pause(self, is_paused: bool) {
        self.memory.update_value(|memory| memory.is_paused = is_paused);
    }

    /// Takes back what has been done meanwhile.
    pub fn withdraw(self, text: &str) {
        self.hide(|toast| toast.text == text);
    }

    pub fn dismiss(self, id: i64) {
        self.hide(|toast| toast.id == id);
    }

    fn hide(self, is_hidden: impl Fn(&Toast) -> bool) {
        for place in self.places {
            if place.with_untracked(|toast| toast.as_ref().is_some_and(&is_hidden)) {
                place.set(None);
            }
        }
    }
}

impl Default for Toasts {
    fn default() -> Self {
        Self::new()
    }
}
