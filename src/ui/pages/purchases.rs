//! `/purchases`: the visitor's purchases.

use crate::{
    client::store::Store,
    domain::{ONE_SIZE, Purchase},
    text,
    ui::components::{loaded::Loaded, sign_in::SignInButton},
    ui::router::Page,
};
use leptos::{either::Either, prelude::*};

/// Newest first; a sign-in button for a signed-out visitor.
#[component]
pub fn Purchases() -> impl IntoView {
    let store = expect_context::<Store>();
    view! {
        <section class="orders">
            <h1>{text::MY_PURCHASES}</h1>
            <Loaded>
                {move || match store.user.with(Option::is_some) {
                    true => Either::Left(view! { <Orders /> }),
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
fn Orders() -> impl IntoView {
    let store = expect_context::<Store>();
    let is_empty = Memo::new(move |_| store.purchases.with(Vec::is_empty));
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
            <For each=move || store.purchases.get() key=|purchase| purchase.id let(purchase)>
                <Order purchase />
            </For>
        </ol>
        {move || is_empty.get().then(no_purchases)}
    }
}

#[component]
fn Order(purchase: Purchase) -> impl IntoView {
    let store = expect_context::<Store>();
    let drop = store.get(purchase.drop_id).map(|drop| drop.get_untracked());
    let (name, image_url) = drop.map(|drop| (drop.name, drop.image_url)).unwrap_or_default();
    let size = (purchase.size != ONE_SIZE).then(|| purchase.size.clone());
    view! {
        <li>
            {image_url.map(|url| view! { <img src=url alt="" width="800" height="500" loading="lazy" /> })}
            <div>
                <h2>
                    <a href=Page::Drop(purchase.drop_id).to_string()>{name}</a>
                </h2>
                <p>{size} " " {text::price(purchase.price_cents)}</p>
                <p class="quiet">{text::order_number(&purchase)} " · " {text::date(purchase.created_at)}</p>
            </div>
        </li>
    }
}
