//! `/drops/{id}`: one drop, with a longer list of purchasers than its card.

use super::not_found::NotFound;
use crate::{
    client::forms::post,
    client::schedule::effect,
    client::store::Store,
    domain::{SneakerDrop, error::DropError},
    rpc, text,
    ui::card_state::none_sold,
    ui::components::{
        drop_card::DropCard,
        live::{flag, live},
        loaded::Loaded,
        purchasers::purchaser_rows,
    },
};
use leptos::{either::Either, prelude::*, task::spawn_local};
use web_sys::UrlSearchParams;

#[component]
pub fn DropPage(
    /// From the path; the drop may not exist.
    id: i64,
) -> impl IntoView {
    let store = expect_context::<Store>();
    view! {
        <Loaded>
            {move || match store.get(id) {
                Some(drop) => Either::Left(view! { <ExistingDrop drop /> }),
                None => Either::Right(NotFound()),
            }}
        </Loaded>
    }
}

#[component]
fn ExistingDrop(drop: ArcRwSignal<SneakerDrop>) -> impl IntoView {
    let store = expect_context::<Store>();
    let id = drop.with_untracked(|drop| drop.id);
    store.keep_while_open(id);
    let signal = RwSignal::from(drop.clone());
    let description = Memo::new(move |_| signal.with(|drop| drop.description.clone()));
    let newest = Memo::new(move |_| signal.with(|drop| drop.latest_purchasers.clone()));
    effect(move || {
        // The server renders the whole list, but a snapshot over the socket contains only a card's.
        if store.resyncs.get() > 0 {
            spawn_local(async move {
                let Ok(drop_id) = UrlSearchParams::new_with_str(&format!("drop_id={id}")) else { return };
                match post::<rpc::Purchasers>(&drop_id).await {
                    Ok(purchasers) => store.set_purchasers(id, purchasers),
                    Err(DropError::NotFound(_)) => store.remove(id),
                    // The list keeps what is known: at least the purchasers on a card.
                    Err(_) => {}
                }
            });
        }
    });
    view! {
        <DropCard drop is_page=true />
        <p class="description" dir="auto">
            {live(Box::new(move || description.get()))}
        </p>
        <p class="share">
            // By the document's own script.
            <button type="button" class="secondary" data-share=text::LINK_COPIED>
                {text::SHARE}
            </button>
            <output></output>
        </p>
        <section class="purchaser-list" aria-labelledby="purchasers">
            <h2 id="purchasers">{text::RECENT_PURCHASERS}</h2>
            <ol>
                {purchaser_rows(newest)}
            </ol>
            <p class="empty" hidden=flag(move || !newest.with(Vec::is_empty))>
                {live(Box::new(move || signal.with(|drop| none_sold(store.clock.now(), drop)).into()))}
            </p>
        </section>
    }
}
