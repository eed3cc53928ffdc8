//! `/drops/past`: what is over, one page after the other.

use super::row::{older, row, time};
use crate::{
    domain::{PastDrop, PastDrops},
    text,
    ui::router::Page,
};
use leptos::prelude::*;

/// Latest first.
pub(super) fn content(PastDrops { drops, older: query }: PastDrops) -> impl IntoView {
    let is_empty = drops.is_empty();
    view! {
        <section class="rows">
            <h1 tabindex="-1">{text::PAST_DROPS}</h1>
            <ol>{drops.into_iter().map(past_drop).collect_view()}</ol>
            {is_empty.then(|| view! { <p class="empty">{text::NOTHING_OVER}</p> })}
            {older(Page::PastDrops, query)}
        </section>
    }
}

fn past_drop(drop: PastDrop) -> impl IntoView {
    let sold = (text::sold(drop.sold_stock, drop.total_stock), " · ", time(drop.over_since));
    row(drop.id, Page::Drop(drop.id).to_string(), drop.name, drop.image_url, text::price(drop.price_cents), sold)
}
