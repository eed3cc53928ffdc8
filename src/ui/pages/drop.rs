//! `/drops/{id}`: one drop with a longer list of purchasers.

use super::not_found::NotFound;
use crate::{
    client::forms::post,
    client::store::Store,
    domain::SneakerDrop,
    rpc, text,
    ui::components::{
        drop_card::{DropCard, PurchaserRow},
        loaded::Loaded,
    },
};
use leptos::{either::Either, prelude::*, server_fn::ServerFn, task::spawn_local};
use web_sys::UrlSearchParams;

/// The page of a drop, if there is such a drop.
#[component]
pub fn DropPage(
    /// The drop in the path.
    id: i64,
) -> impl IntoView {
    let store = expect_context::<Store>();
    view! {
        <Loaded>
            {move || match store.get(id) {
                Some(drop) => Either::Left(view! { <OneDrop drop /> }),
                None => Either::Right(NotFound()),
            }}
        </Loaded>
    }
}

#[component]
fn OneDrop(drop: ArcRwSignal<SneakerDrop>) -> impl IntoView {
    let store = expect_context::<Store>();
    let id = drop.with_untracked(|drop| drop.id);
    let signal = RwSignal::from(drop.clone());
    let newest = Memo::new(move |_| signal.with(|drop| drop.latest_purchasers.clone()));
    Effect::new(move || {
        // What the server rendered is whole; what a socket's snapshot brought is not.
        if store.resyncs.get() > 0 {
            spawn_local(async move {
                let Ok(drop_id) = UrlSearchParams::new_with_str(&format!("drop_id={id}")) else { return };
                // Without an answer the list stays as long as a card's.
                if let Ok(purchasers) = post(rpc::Purchasers::PATH, &drop_id).await {
                    store.add_purchasers(id, purchasers);
                }
            });
        }
    });
    view! {
        <DropCard drop is_page=true />
        <section class="purchaser-list" aria-labelledby="purchasers">
            <h2 id="purchasers">{text::RECENT_PURCHASERS}</h2>
            <ol>
                <For each=move || newest.get() key=|purchaser| purchaser.purchase_id let(purchaser)>
                    <PurchaserRow purchaser />
                </For>
            </ol>
            {move || newest.with(Vec::is_empty).then(|| view! { <p class="empty">{text::NOBODY_YET}</p> })}
        </section>
    }
}
