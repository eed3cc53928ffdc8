//! Lists of drops, each a picture with a few words.

use crate::{
    domain::{SneakerDrop, Timestamp},
    text,
    ui::router::Page,
};
use chrono::{DateTime, Utc};
use leptos::prelude::*;

/// A picture beside a name that leads to `href`, and under it what matters and then the rest.
pub(super) fn row(
    drop_id: i64,
    href: String,
    name: String,
    image_url: Option<String>,
    first: impl IntoView,
    then: impl IntoView,
) -> impl IntoView {
    view! {
        <li>
            <div class="art" data-tint=drop_id % 8>
                <span class="initials" aria-hidden="true">{text::initials(&name)}</span>
                {image_url.map(|url| view! { <img src=url alt="" width="800" height="500" loading="lazy" /> })}
            </div>
            <div>
                <h2 dir="auto">
                    <a href=href>{name}</a>
                </h2>
                <p>{first}</p>
                <p class="quiet">{then}</p>
            </div>
        </li>
    }
}

/// A time that the document's script puts into the visitor's zone.
pub(super) fn time(at: Timestamp) -> impl IntoView {
    view! { <time datetime=at.to_string() data-year="">{text::date(at, true)}</time> }
}

/// What can be bought now.
pub(super) fn live(drops: &[SneakerDrop], now: DateTime<Utc>) -> impl IntoView + use<> {
    let live: Vec<_> = drops.iter().filter(|drop| drop.is_open(now) && drop.available_stock > 0).cloned().collect();
    (!live.is_empty()).then(|| {
        let rows = live.into_iter().map(|drop| {
            let left = text::stock_left(drop.available_stock, drop.total_stock);
            row(
                drop.id,
                Page::Drop(drop.id).to_string(),
                drop.name,
                drop.image_url,
                text::price(drop.price_cents),
                left,
            )
        });
        view! {
            <h2 class="section">{text::LIVE_NOW}</h2>
            <ol>{rows.collect_view()}</ol>
        }
    })
}

/// Leads to the next page of a list.
pub(super) fn older(page: Page, query: Option<String>) -> impl IntoView {
    query.map(|query| {
        view! {
            <a href=format!("{page}?{query}") class="secondary">
                {text::OLDER}
            </a>
        }
    })
}
