//! The recent purchasers of a drop.

use super::live::{attribute, live};
use crate::{
    client::store::Store,
    domain::{LATEST_PURCHASERS, Purchaser, SneakerDrop},
    text,
    ui::card_state::none_sold,
};
use leptos::prelude::*;

/// The newest [`LATEST_PURCHASERS`].
#[component]
pub fn Purchasers(drop: RwSignal<SneakerDrop>) -> impl IntoView {
    let store = expect_context::<Store>();
    let newest = Memo::new(move |_| {
        drop.with(|drop| drop.latest_purchasers.iter().take(LATEST_PURCHASERS).cloned().collect::<Vec<_>>())
    });
    view! {
        <ul class="purchasers" aria-label=text::RECENT_PURCHASERS data-none=attribute(move || Some(drop.with(|drop| none_sold(store.clock.now(), drop)).into()))>
            {purchaser_rows(newest)}
        </ul>
    }
}

pub fn purchaser_rows(purchasers: Memo<Vec<Purchaser>>) -> impl IntoView {
    move || {
        let rows = purchasers.get().into_iter();
        rows.map(|purchaser| view! { <PurchaserRow purchaser /> }).collect_view()
    }
}

/// `alice · 2 min ago`.
#[component]
fn PurchaserRow(purchaser: Purchaser) -> impl IntoView {
    let store = expect_context::<Store>();
    view! {
        <li>
            <bdi>{purchaser.username}</bdi>
            " · "
            {live(Box::new(move || text::ago(*purchaser.purchased_at, store.clock.now())))}
        </li>
    }
}
