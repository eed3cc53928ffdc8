//! `/purchases`: the visitor's orders.

use super::row::{live, older, row, time};
use crate::{
    domain::{ONE_SIZE, Order, Orders, Snapshot},
    text,
    ui::components::sign_in::SignInButton,
    ui::router::Page,
};
use leptos::prelude::*;

/// Newest first.
pub(super) fn content(Orders { orders, older: query }: Orders, snapshot: &Snapshot) -> impl IntoView + use<> {
    let nothing = orders.is_empty().then(|| {
        view! {
            <p class="empty">{text::NO_PURCHASES}</p>
            {live(&snapshot.drops, *snapshot.now)}
            <a href=Page::Dashboard.to_string() class="secondary">
                {text::TO_THE_DROPS}
            </a>
        }
    });
    view! {
        <section class="rows orders">
            <h1 tabindex="-1">{text::MY_PURCHASES}</h1>
            <ol>{orders.into_iter().map(listed).collect_view()}</ol>
            {nothing}
            {older(Page::Purchases, query)}
        </section>
    }
}

/// For whom nothing can be listed.
pub(super) fn signed_out() -> impl IntoView {
    view! {
        <section class="rows orders">
            <h1 tabindex="-1">{text::MY_PURCHASES}</h1>
            <p class="empty">{text::SIGN_IN_TO_SEE}</p>
            <SignInButton class="primary" label=text::SIGN_IN />
        </section>
    }
}

fn listed(Order { purchase, drop_name, image_url, is_cancelled, .. }: Order) -> impl IntoView {
    let price = text::price(purchase.price_cents);
    let pair = if purchase.size == ONE_SIZE { price } else { format!("{} · {price}", purchase.size) };
    let cancelled = is_cancelled.then(|| format!(" · {}", text::CANCELLED));
    let order = (text::order_number(&purchase), " · ", time(purchase.created_at), cancelled);
    row(purchase.drop_id, Page::Order(purchase.id).to_string(), drop_name, image_url, pair, order)
}
