//! `/purchases`: the visitor's purchases.

use crate::{
    client::store::Store,
    domain::{List, ONE_SIZE, Order},
    text,
    ui::app::FirstList,
    ui::components::{loaded::Loaded, sign_in::SignInButton},
    ui::router::Page,
};
use leptos::{either::Either, prelude::*};

/// Newest first; a sign-in button for a signed-out visitor.
#[component]
pub fn Purchases() -> impl IntoView {
    let store = expect_context::<Store>();
    let FirstList(list) = expect_context();
    let listed_for = list.with_value(|list| match list {
        Some(List::Orders(orders)) => Some(orders.user_id),
        _ => None,
    });
    Effect::new(move || {
        // Somebody signed in since: their list comes with a document of its own.
        let user_id = store.user.with(|user| user.as_ref().map(|user| user.id));
        if user_id.is_some() && user_id != listed_for && store.failure.with(Option::is_none) {
            // Browsers refuse this only in a document that is not shown.
            let _ = window().location().reload();
        }
    });
    view! {
        <section class="orders">
            <h1>{text::MY_PURCHASES}</h1>
            <Loaded>
                {move || match store.user.with(Option::is_some) {
                    true => Either::Left(view! { <ListedOrders /> }),
                    false => {
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
fn ListedOrders() -> impl IntoView {
    let store = expect_context::<Store>();
    let FirstList(list) = expect_context();
    let (listed, is_first, older) = list.with_value(|list| match list {
        Some(List::Orders(orders)) => (orders.orders.clone(), orders.is_first, orders.older.clone()),
        _ => (vec![], false, None),
    });
    let newest = listed.first().map_or(0, |order| order.purchase.id);
    let orders = Memo::new(move |_| {
        // What was bought since, perhaps in another tab.
        let purchases = store.purchases.get().into_iter().filter(|purchase| is_first && purchase.id > newest);
        let bought_since = purchases.filter_map(|purchase| {
            let drop = store.get(purchase.drop_id)?.get();
            Some(Order { purchase, drop_name: drop.name, image_url: drop.image_url })
        });
        bought_since.chain(listed.iter().cloned()).collect::<Vec<_>>()
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
            <For each=move || orders.get() key=|order| order.purchase.id let(order)>
                <ListedOrder order />
            </For>
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

#[component]
fn ListedOrder(order: Order) -> impl IntoView {
    let Order { purchase, drop_name, image_url } = order;
    let size = (purchase.size != ONE_SIZE).then(|| purchase.size.clone());
    view! {
        <li>
            {image_url.map(|url| view! { <img src=url alt="" width="800" height="500" loading="lazy" /> })}
            <div>
                <h2>
                    <a href=Page::Drop(purchase.drop_id).to_string()>{drop_name}</a>
                </h2>
                <p>{size} " " {text::price(purchase.price_cents)}</p>
                <p class="quiet">{text::order_number(&purchase)} " · " {text::date(purchase.created_at)}</p>
            </div>
        </li>
    }
}
