//! Announces the drops that open.

use super::live::live;
use crate::{client::schedule::effect, client::store::Store, text};
use leptos::prelude::*;

/// `Volt Runner is open.`, for screen readers.
#[component]
pub fn Openings() -> impl IntoView {
    let store = expect_context::<Store>();
    let opened = RwSignal::new(String::new());
    let upcoming = Memo::new(move |_| {
        let now = store.clock.now();
        let is_upcoming = |id: &i64| store.get(*id).is_some_and(|drop| drop.with(|drop| now < *drop.starts_at));
        let ids = store.drops().into_iter().map(|drop| drop.with_untracked(|drop| drop.id));
        ids.filter(is_upcoming).collect::<Vec<_>>()
    });
    let mut known = vec![];
    effect(move || {
        let upcoming = upcoming.get();
        let now = store.clock.now_untracked();
        let mut names = String::new();
        for drop in known.iter().filter(|id| !upcoming.contains(id)).filter_map(|id| untrack(|| store.get(*id))) {
            if let Some(name) = drop.with_untracked(|drop| drop.is_open(now).then(|| text::opened(&drop.name))) {
                names += &name;
                names += " ";
            }
        }
        if !names.is_empty() {
            opened.set(names);
        }
        known = upcoming;
    });
    view! {
        <p class="visually-hidden" aria-live="polite">
            {live(Box::new(move || opened.get()))}
        </p>
    }
}
