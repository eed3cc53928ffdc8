//! `/purchases/{id}`: one order, which can be printed as a receipt.

use super::row::time;
use crate::{
    domain::{Order, User},
    text,
    ui::router::Page,
};
use leptos::{either::Either, prelude::*};

pub(super) fn content(order: Order, buyer: &User) -> impl IntoView + use<> {
    let Order { purchase, drop_name, image_url, is_cancelled, cancel_reason, is_archived } = order;
    let price = text::price(purchase.price_cents);
    let drop = Page::Drop(purchase.drop_id).to_string();
    view! {
        <section class="rows orders receipt">
            <p class="shop">{text::BRAND}</p>
            <h1 tabindex="-1">{text::order_number(&purchase)}</h1>
            <div class="art" data-tint=purchase.drop_id % 8>
                <span class="initials" aria-hidden="true">{text::initials(&drop_name)}</span>
                {image_url.map(|url| view! { <img src=url alt="" width="800" height="500" /> })}
            </div>
            <dl>
                <dt>{text::SHOE}</dt>
                <dd dir="auto">
                    {if is_archived {
                        Either::Left(drop_name)
                    } else {
                        Either::Right(view! { <a href=drop>{drop_name}</a> })
                    }}
                </dd>
                <dt>{text::SIZE}</dt>
                <dd>
                    <bdi>{purchase.size}</bdi>
                </dd>
                <dt>{text::BOUGHT_BY}</dt>
                <dd>
                    <bdi>{buyer.username.clone()}</bdi>
                </dd>
                <dt>{text::TIME}</dt>
                <dd>{time(purchase.created_at)}</dd>
                <dt>{text::STATUS}</dt>
                <dd>{if is_cancelled { text::CANCELLED } else { text::COMPLETED }}</dd>
                {cancel_reason
                    .map(|reason| {
                        view! {
                            <dt>{text::REASON}</dt>
                            <dd dir="auto">{reason}</dd>
                        }
                    })}
                <dt>{text::TOTAL}</dt>
                <dd class="price">{price}</dd>
            </dl>
            <a href=Page::Purchases.to_string() class="secondary">
                {text::MY_PURCHASES}
            </a>
        </section>
    }
}
