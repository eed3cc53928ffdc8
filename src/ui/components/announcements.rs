//! Announces what others make of the drops.

use super::live::live;
use crate::{
    client::schedule::{after, effect},
    client::store::Store,
    domain::SneakerDrop,
    text,
    ui::card_state::CardState,
};
use leptos::prelude::*;

/// In a rush, whoever listens to the page must still hear the rest of it.
const QUIET_MS: u32 = 10_000;

/// `Volt Runner is open.`, for screen readers: the drops that are open, fully reserved or sold out since the last announcement.
#[component]
pub fn Announcements() -> impl IntoView {
    let store = expect_context::<Store>();
    let said = RwSignal::new(String::new());
    let is_quiet = RwSignal::new(false);
    let states = move || {
        let now = store.clock.now();
        let state = |drop: &SneakerDrop| match CardState::at(now, drop, true, None, &[]) {
            CardState::Open => Some(text::OPEN),
            CardState::AllReserved => Some(text::FULLY_RESERVED),
            CardState::SoldOut => Some(text::IS_SOLD_OUT),
            _ => None,
        };
        store.drops().into_iter().map(|drop| drop.with(|drop| (drop.id, state(drop)))).collect::<Vec<_>>()
    };
    let mut known = vec![];
    effect(move || {
        let states = states();
        if is_quiet.get() {
            return;
        }
        let mut news = String::new();
        for (id, state) in &states {
            let is_new = known.iter().any(|(known_id, known)| known_id == id && known != state);
            let drop = untrack(|| store.get(*id)).filter(|_| is_new);
            if let (Some(drop), Some(state)) = (drop, state) {
                news += &drop.with_untracked(|drop| text::announced(&drop.name, state));
                news += " ";
            }
        }
        if !news.is_empty() {
            said.set(news);
            is_quiet.set(true);
            after(QUIET_MS, move || is_quiet.set(false)).forget();
        }
        known = states;
    });
    view! {
        <p class="visually-hidden" aria-live="polite">
            {live(Box::new(move || said.get()))}
        </p>
    }
}
