//! `/drops/past`: what is over, one page after the other.

use crate::{
    domain::{List, PastDrop},
    text,
    ui::app::FirstList,
    ui::components::loaded::Loaded,
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
            <h1>{text::PAST_DROPS}</h1>
            <Loaded>
                <ol>{drops.iter().map(|drop| view! { <Past drop=drop.clone() /> }).collect_view()}</ol>
                {is_empty.then(|| view! { <p class="empty">{text::NOTHING_OVER}</p> })}
                {older
                    .clone()
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

#[component]
fn Past(drop: PastDrop) -> impl IntoView {
    let PastDrop { id, name, price_cents, image_url, total_stock, sold_stock, over_since } = drop;
    view! {
        <li>
            {image_url.map(|url| view! { <img src=url alt="" width="800" height="500" loading="lazy" /> })}
            <div>
                <h2>
                    <a href=Page::Drop(id).to_string()>{name}</a>
                </h2>
                <p>{text::price(price_cents)}</p>
                <p class="quiet">{text::sold(sold_stock, total_stock)} " · " {text::date(over_since)}</p>
            </div>
        </li>
    }
}
