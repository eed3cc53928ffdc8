//! `/purchases`: the visitor's purchases.

use crate::{
    client::forms::post,
    client::schedule::effect,
    client::store::Store,
    domain::{List, ONE_SIZE, Order, Orders},
    rpc, text,
    ui::app::FirstList,
    ui::components::{loaded::Loaded, row::row, sign_in::SignInButton},
    ui::router::Page,
};
use leptos::{either::Either, prelude::*, task::spawn_local};
use web_sys::UrlSearchParams;

/// Newest first; a sign-in button for a signed-out visitor.
#[component]
pub fn Purchases() -> impl IntoView {
    let store = expect_context::<Store>();
    let list = RwSignal::new(match expect_context::<FirstList>().get() {
        Some(List::Orders(orders)) => Some(orders),
        _ => None,
    });
    effect(move || {
        // The page was opened in this document, or somebody else signed in since.
        let user_id = store.user.with(|user| user.as_ref().map(|user| user.id));
        if user_id.is_some() && list.with_untracked(|list| list.as_ref().map(|orders| orders.user_id)) != user_id {
            spawn_local(async move {
                let Ok(newest) = UrlSearchParams::new() else { return };
                match post::<rpc::OwnOrders>(&newest).await {
                    Ok(orders) => list.set(Some(orders)),
                    Err(error) => store.toasts.error(error.to_string()),
                }
            });
        }
    });
    view! {
        <section class="orders">
            <h1 tabindex="-1">{text::MY_PURCHASES}</h1>
            <Loaded>
                {move || match store.user.with(|user| user.as_ref().map(|user| user.id)) {
                    Some(user_id) => {
                        Either::Left(
                            list
                                .get()
                                .filter(|orders| orders.user_id == user_id)
                                .map(|orders| view! { <ListedOrders orders /> }),
                        )
                    }
                    None => {
                        Either::Right(view! {
                            <p class="empty">{text::SIGN_IN_TO_SEE}</p>
                            <SignInButton class="primary" label=text::SIGN_IN />
                        })
                    }
                }}
            </Loaded>
        </section>
    }
}

#[component]
fn ListedOrders(orders: Orders) -> impl IntoView {
    let store = expect_context::<Store>();
    let Orders { orders: known, is_first, older, .. } = orders;
    let newest = known.first().map_or(0, |order| order.purchase.id);
    let orders = Memo::new(move |_| {
        // What was bought since, perhaps in another tab.
        let purchases = store.purchases.get().into_iter().filter(|purchase| is_first && purchase.id > newest);
        let bought_since = purchases.filter_map(|purchase| {
            let drop = store.get(purchase.drop_id)?.get();
            Some(Order { purchase, drop_name: drop.name, image_url: drop.image_url })
        });
        bought_since.chain(known.iter().cloned()).collect::<Vec<_>>()
    });
    let is_empty = Memo::new(move |_| orders.with(Vec::is_empty));
    let no_purchases = || {
        view! {
            <p class="empty">{text::NO_PURCHASES}</p>
            <a href=Page::Dashboard.to_string() class="secondary">
                {text::TO_THE_DROPS}
            </a>
        }
    };
    view! {
        <ol>
            {move || orders.get().into_iter().map(listed).collect_view()}
        </ol>
        {move || is_empty.get().then(no_purchases)}
        {older
            .map(|older| {
                let href = format!("{}?{older}", Page::Purchases);
                view! {
                    <a href=href class="secondary">
                        {text::OLDER}
                    </a>
                }
            })}
    }
}

fn listed(Order { purchase, drop_name, image_url }: Order) -> impl IntoView {
    let price = text::price(purchase.price_cents);
    let pair = if purchase.size == ONE_SIZE { price } else { format!("{} {price}", purchase.size) };
    let order = format!("{} · {}", text::order_number(&purchase), text::date(purchase.created_at));
    row(purchase.drop_id, drop_name, image_url, pair, order)
}
