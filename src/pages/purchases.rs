//! `/purchases`: what the visitor bought.

use crate::{
    components::{loaded::Loaded, sign_in::SignInButton},
    domain::{ONE_SIZE, Purchase},
    live::Live,
    words,
};
use leptos::prelude::*;
use leptos_meta::{Meta, Title};
use leptos_router::components::A;

/// The visitor's orders, newest first.
#[component]
pub fn Purchases() -> impl IntoView {
    let live = expect_context::<Live>();
    view! {
        <Title text=words::MY_PURCHASES />
        <Meta name="description" content=words::DESCRIPTION />
        <section class="orders">
            <h1>{words::MY_PURCHASES}</h1>
            <Loaded>
                <Show
                    when=move || live.user.with(Option::is_some)
                    fallback=|| {
                        view! {
                            <p class="empty">{words::SIGN_IN_TO_SEE}</p>
                            <SignInButton class="primary" label=words::SIGN_IN />
                        }
                    }
                >
                    <ol>
                        <For each=move || live.purchases.get() key=|purchase| purchase.id let(purchase)>
                            <Order purchase />
                        </For>
                    </ol>
                    <Show when=move || live.purchases.with(Vec::is_empty)>
                        <p class="empty">{words::NO_PURCHASES}</p>
                        <A href="/" attr:class="secondary">
                            {words::TO_THE_DROPS}
                        </A>
                    </Show>
                </Show>
            </Loaded>
        </section>
    }
}

#[component]
fn Order(purchase: Purchase) -> impl IntoView {
    let live = expect_context::<Live>();
    let drop = live.get(purchase.drop_id).map(|drop| drop.get_untracked());
    let (name, image_url) = drop.map(|drop| (drop.name, drop.image_url)).unwrap_or_default();
    let size = (purchase.size != ONE_SIZE).then(|| purchase.size.clone());
    view! {
        <li>
            {image_url.map(|url| view! { <img src=url alt="" width="800" height="500" loading="lazy" /> })}
            <div>
                <h2>
                    <A href=format!("/drops/{}", purchase.drop_id)>{name}</A>
                </h2>
                <p>{size} " " {words::price(purchase.price_cents)}</p>
                <p class="quiet">{words::order(&purchase)} " · " {words::date(purchase.created_at)}</p>
            </div>
        </li>
    }
}
