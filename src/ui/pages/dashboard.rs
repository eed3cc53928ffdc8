//! `/`: the drops in three sections.

use crate::{
    client::schedule::effect,
    client::store::Store,
    domain::SneakerDrop,
    text,
    ui::actions::Actions,
    ui::card_state::Section,
    ui::components::{drop_card::DropCard, live::flag, loaded::Loaded},
    ui::engagement::is_touched_in_sight,
    ui::filter::Filter,
    ui::router::Page,
};
use leptos::prelude::*;

/// A drop moves between sections as time passes and its stock changes, but not while a card is under a pointer or the
/// focus, nor where it may be under a thumb.
#[component]
pub fn Dashboard(
    filter: Filter,
    /// The form that filters, which the server renders.
    filters: Option<String>,
) -> impl IntoView {
    view! {
        <Loaded>
            <h1 class="tagline" tabindex="-1">
                {text::TAGLINE}
            </h1>
            <div class="loaded" inner_html=filters.unwrap_or_default()></div>
            <DropSections filter />
            <p class="past">
                <a href=Page::PastDrops.to_string() class="secondary">
                    {text::PAST_DROPS}
                </a>
            </p>
        </Loaded>
    }
}

/// Drops with the sections that they belong to: those that the visitor holds, then the others ordered by start.
type Layout = Vec<(i64, Section)>;

#[component]
fn DropSections(filter: Filter) -> impl IntoView {
    let store = expect_context::<Store>();
    let engagement = expect_context::<Actions>().engagement;
    let current = move || {
        let now = store.clock.now();
        let section = |drop: &SneakerDrop| {
            let is_held = store.reservation(drop.id).is_some_and(|reservation| reservation.is_held(now));
            let section = Section::at(now, drop, is_held);
            let is_shown = is_held || filter.admits(drop, section);
            is_shown.then_some((is_held, (drop.id, section)))
        };
        let (mut held, mut others) = (vec![], vec![]);
        for (is_held, drop) in store.drops().into_iter().filter_map(|drop| drop.with(section)) {
            if is_held { &mut held } else { &mut others }.push(drop);
        }
        held.append(&mut others);
        held
    };
    let shown = RwSignal::new(untrack(current));
    effect(move || {
        if !engagement.is_engaged.get() {
            let current = current();
            shown.maybe_update(|shown| {
                *shown != current && !is_under_thumb(shown, &current) && {
                    *shown = current;
                    true
                }
            });
        }
    });
    // What is left out may be live.
    let is_filtered = filter.is_set();
    let nothing_matches = is_filtered.then(|| {
        view! {
            <p class="empty" hidden=flag(move || !shown.with(Vec::is_empty))>
                {text::NOTHING_MATCHES} " " <a href=Page::Dashboard.to_string()>{text::SHOW_EVERYTHING}</a>
            </p>
        }
    });
    view! {
        {nothing_matches}
        <DropSection shown title=text::LIVE_NOW section=Section::Live empty=(!is_filtered).then_some(text::NOTHING_LIVE) />
        <DropSection shown title=text::UPCOMING section=Section::Upcoming />
        <DropSection shown title=text::OVER section=Section::Over />
    }
}

/// Whether any of what moves to another place is under the thumb of somebody who waits: where no pointer says which card that is,
/// it may be any that is in sight.
fn is_under_thumb(before: &Layout, after: &Layout) -> bool {
    let kept = |of: &Layout, in_both: &Layout| {
        let is_kept = |(id, _): &&(i64, Section)| in_both.iter().any(|(known, _)| known == id);
        of.iter().filter(is_kept).copied().collect::<Vec<_>>()
    };
    let (before, after) = (kept(before, after), kept(after, before));
    before.iter().zip(&after).any(|(before, after)| before != after && is_touched_in_sight(before.0))
}

#[component]
fn DropSection(
    shown: RwSignal<Layout>,
    title: &'static str,
    section: Section,
    /// Said when there is nothing in the section.
    #[prop(default = None)]
    empty: Option<&'static str>,
) -> impl IntoView {
    let store = expect_context::<Store>();
    let ids = Memo::new(move |_| {
        shown.with(|shown| shown.iter().filter(|(_, of)| *of == section).map(|(id, _)| *id).collect::<Vec<_>>())
    });
    let first = shown.with_untracked(|shown| {
        let first = shown.iter().min_by_key(|(_, section)| *section as u8);
        first.map(|(id, _)| *id)
    });
    let heading_id = match section {
        Section::Live => "live-now",
        Section::Upcoming => "upcoming",
        Section::Over => "over",
    };
    let is_empty = move || ids.with(Vec::is_empty);
    view! {
        <section class="drops" aria-labelledby=heading_id hidden=flag(move || empty.is_none() && is_empty())>
            <h2 id=heading_id>{title}</h2>
            <div class="grid">
                <For each=move || ids.get() key=|id| *id let(id)>
                    {store.get(id).map(|drop| view! { <DropCard drop is_first=Some(id) == first /> })}
                </For>
            </div>
            {move || empty.filter(|_| is_empty()).map(|empty| view! { <p class="empty">{empty}</p> })}
        </section>
    }
}
