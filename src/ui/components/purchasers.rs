//! The recent purchasers of a drop.

use crate::{
    client::store::Store,
    domain::{LATEST_PURCHASERS, Purchaser, SneakerDrop},
    text,
};
use leptos::prelude::*;

/// The newest [`LATEST_PURCHASERS`].
#[component]
pub fn Purchasers(drop: RwSignal<SneakerDrop>) -> impl IntoView {
    let newest = Memo::new(move |_| {
        drop.with(|drop| drop.latest_purchasers.iter().take(LATEST_PURCHASERS).cloned().collect::<Vec<_>>())
    });
    view! {
        <ul class="purchasers" aria-label=text::RECENT_PURCHASERS>
            <For each=move || newest.get() key=|purchaser| purchaser.purchase_id let(purchaser)>
                <PurchaserRow purchaser />
            </For>
        </ul>
    }
}

/// `alice · 2 min ago`.
#[component]
pub fn PurchaserRow(purchaser: Purchaser) -> impl IntoView {
    let store = expect_context::<Store>();
    let ago = Memo::new(move |_| text::ago(*purchaser.purchased_at, store.clock.now()));
    view! {
        <li>
            <bdi>{purchaser.username}</bdi>
            " · "
            <span>{move || ago.get()}</span>
        </li>
    }
}
