//! `/`: the drops in three sections.

use crate::{
    client::store::Store,
    text,
    ui::card_state::Section,
    ui::components::{drop_card::DropCard, loaded::Loaded},
    ui::router::Page,
};
use leptos::prelude::*;

/// A drop moves between sections as time passes and its stock changes.
#[component]
pub fn Dashboard() -> impl IntoView {
    view! {
        <Loaded>
            <h1 class="tagline">{text::TAGLINE}</h1>
            <DropSection title=text::LIVE_NOW section=Section::Live empty=text::NOTHING_LIVE />
            <DropSection title=text::UPCOMING section=Section::Upcoming />
            <DropSection title=text::OVER section=Section::Over />
            <p class="past">
                <a href=Page::PastDrops.to_string() class="secondary">
                    {text::PAST_DROPS}
                </a>
            </p>
        </Loaded>
    }
}

#[component]
fn DropSection(title: &'static str, section: Section, #[prop(optional)] empty: Option<&'static str>) -> impl IntoView {
    let store = expect_context::<Store>();
    let ids = Memo::new(move |_| {
        let now = store.clock.now();
        let is_in_section = |id: i64| {
            let is_held = store.reservation(id).is_some_and(|reservation| reservation.is_held(now));
            store.get(id).is_some_and(|drop| drop.with(|drop| Section::at(now, drop, is_held)) == section)
        };
        let ids = store.drops().into_iter().map(|drop| drop.with_untracked(|drop| drop.id));
        ids.filter(|id| is_in_section(*id)).collect::<Vec<_>>()
    });
    let heading_id = match section {
        Section::Live => "live-now",
        Section::Upcoming => "upcoming",
        Section::Over => "over",
    };
    let is_empty = move || ids.with(Vec::is_empty);
    view! {
        <section class="drops" aria-labelledby=heading_id hidden=move || is_empty() && empty.is_none()>
            <h2 id=heading_id>{title}</h2>
            <div class="grid">
                <For each=move || ids.get() key=|id| *id let(id)>
                    {store.get(id).map(|drop| view! { <DropCard drop /> })}
                </For>
            </div>
            {move || empty.filter(|_| is_empty()).map(|empty| view! { <p class="empty">{empty}</p> })}
        </section>
    }
}
