//! `/`: the drops in three sections.

use crate::{
    client::schedule::effect,
    client::store::Store,
    domain::SneakerDrop,
    text,
    ui::actions::Actions,
    ui::card_state::Section,
    ui::components::{drop_card::DropCard, loaded::Loaded},
    ui::router::Page,
};
use leptos::prelude::*;

/// A drop moves between sections as time passes and its stock changes, but not while a card is under a pointer or the focus.
#[component]
pub fn Dashboard() -> impl IntoView {
    view! {
        <Loaded>
            <h1 class="tagline" tabindex="-1">
                {text::TAGLINE}
            </h1>
            <DropSections />
            <p class="past">
                <a href=Page::PastDrops.to_string() class="secondary">
                    {text::PAST_DROPS}
                </a>
            </p>
        </Loaded>
    }
}

/// Drops with the sections that they belong to, ordered by start.
type Layout = Vec<(i64, Section)>;

#[component]
fn DropSections() -> impl IntoView {
    let store = expect_context::<Store>();
    let engagement = expect_context::<Actions>().engagement;
    let current = move || {
        let now = store.clock.now();
        let section = |drop: &SneakerDrop| {
            let is_held = store.reservation(drop.id).is_some_and(|reservation| reservation.is_held(now));
            (drop.id, Section::at(now, drop, is_held))
        };
        store.drops().into_iter().map(|drop| drop.with(section)).collect::<Layout>()
    };
    let shown = RwSignal::new(untrack(current));
    effect(move || {
        if !engagement.is_engaged.get() {
            let current = current();
            shown.maybe_update(|shown| {
                *shown != current && {
                    *shown = current;
                    true
                }
            });
        }
    });
    view! {
        <DropSection shown title=text::LIVE_NOW section=Section::Live empty=text::NOTHING_LIVE />
        <DropSection shown title=text::UPCOMING section=Section::Upcoming />
        <DropSection shown title=text::OVER section=Section::Over />
    }
}

#[component]
fn DropSection(
    shown: RwSignal<Layout>,
    title: &'static str,
    section: Section,
    #[prop(optional)] empty: Option<&'static str>,
) -> impl IntoView {
    let store = expect_context::<Store>();
    let ids = Memo::new(move |_| {
        shown.with(|shown| shown.iter().filter(|(_, of)| *of == section).map(|(id, _)| *id).collect::<Vec<_>>())
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
