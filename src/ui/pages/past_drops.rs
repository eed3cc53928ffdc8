//! `/drops/past`: what is over, one page after the other.

use crate::{
    domain::{List, PastDrop},
    text,
    ui::app::FirstList,
    ui::components::{loaded::Loaded, row::row},
    ui::router::Page,
};
use leptos::prelude::*;

/// Latest first.
#[component]
pub fn PastDrops() -> impl IntoView {
    let (drops, older) = match expect_context::<FirstList>().get() {
        Some(List::PastDrops(past)) => (past.drops, past.older),
        _ => (vec![], None),
    };
    let is_empty = drops.is_empty();
    view! {
        <section class="orders">
            <h1 tabindex="-1">{text::PAST_DROPS}</h1>
            <Loaded>
                <ol>{drops.into_iter().map(past_drop).collect_view()}</ol>
                {is_empty.then(|| view! { <p class="empty">{text::NOTHING_OVER}</p> })}
                {older
                    .map(|older| {
                        let href = format!("{}?{older}", Page::PastDrops);
                        view! {
                            <a href=href class="secondary">
                                {text::OLDER}
                            </a>
                        }
                    })}
            </Loaded>
        </section>
    }
}

fn past_drop(drop: PastDrop) -> impl IntoView {
    let sold = format!("{} · {}", text::sold(drop.sold_stock, drop.total_stock), text::date(drop.over_since));
    row(drop.id, drop.name, drop.image_url, text::price(drop.price_cents), sold)
}
