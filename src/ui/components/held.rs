//! What is offered to the holder of a pair: on the drop's card, and in the bar that every page has.

use super::{
    buttons::{acting_as, submit_button},
    countdown::{Countdown, time_left},
    live::{flag, live},
};
use crate::{
    client::schedule::effect,
    client::store::Store,
    domain::{ONE_SIZE, Reservation},
    rpc, text,
    ui::actions::{Actions, DropActions},
    ui::engagement::focus_heading_if_lost,
    ui::router::Page,
};
use leptos::{prelude::*, server_fn::ServerFn};

/// On a card: the ring, and the ways to buy the pair and to give it back.
pub fn held(reservation: Reservation, name: Memo<String>) -> impl IntoView {
    let actions = expect_context::<Actions>().of(reservation.drop_id);
    let size = (reservation.size != ONE_SIZE).then(|| reservation.size.clone());
    let is_off = move || actions.purchase.pending.get() || actions.release.pending.get();
    let release_label = move || if actions.is_giving_back.get() { text::KEEP_IT } else { text::GIVE_IT_BACK }.into();
    let giving_back = move || if actions.is_giving_back.get() { text::GIVING_BACK } else { "" }.into();
    let release = submit_button("quiet", Box::new(release_label), Some(name), Box::new(is_off), actions.armed);
    view! {
        <div class="held-pair">
            <Countdown reservation=reservation.clone() />
            <p class="pair">
                {size.map(|size| view! { <strong dir="auto">{size}</strong> })}
                {until(&reservation)}
                <span class="visually-hidden" aria-live="polite">
                    {live(Box::new(giving_back))}
                </span>
            </p>
            {form(rpc::Release::PATH, &reservation, release)}
        </div>
        {purchase(&reservation, name, actions)}
    }
}

/// In the header of every page, or below it: the visitor's held pairs.
#[component]
pub fn HeldBar() -> impl IntoView {
    let store = expect_context::<Store>();
    let actions = expect_context::<Actions>();
    let mut places: Vec<i64> = vec![];
    effect(move || {
        store.reservations.track();
        focus_heading_if_lost();
    });
    view! {
        <section class="bar" aria-label=text::HELD_PAIRS hidden=flag(move || store.reservations.with(Vec::is_empty))>
            {move || {
                let held = store.reservations.get();
                // What comes into the place of a pair that is gone must not be bought by a second click.
                let before = std::mem::replace(&mut places, held.iter().map(|held| held.drop_id).collect());
                for (before, now) in before.iter().zip(&places) {
                    if before != now {
                        actions.of(*now).disarm();
                    }
                }
                held.into_iter().map(|reservation| held_in_bar(store, reservation)).collect_view()
            }}
        </section>
    }
}

fn held_in_bar(store: Store, reservation: Reservation) -> impl IntoView {
    let drop_id = reservation.drop_id;
    let actions = expect_context::<Actions>().of(drop_id);
    let name =
        Memo::new(move |_| store.get(drop_id).map(|drop| drop.with(|drop| drop.name.clone())).unwrap_or_default());
    let pair = match &*reservation.size {
        ONE_SIZE => text::price(reservation.price_cents),
        size => format!("{size} · {}", text::price(reservation.price_cents)),
    };
    view! {
        <div class="held-in-bar" data-drop=drop_id>
            {time_left(store, &reservation)}
            <p>
                <a href=Page::Drop(drop_id).to_string() dir="auto">
                    {live(Box::new(move || name.get()))}
                </a>
                <span>{pair}</span>
                {until(&reservation)}
            </p>
            {purchase(&reservation, name, actions)}
        </div>
    }
}

/// Until when, where no script makes the countdown go on. Browsers that run scripts find no elements in it, so there are none to
/// hydrate.
fn until(reservation: &Reservation) -> impl IntoView + use<> {
    view! { <noscript inner_html=text::until(reservation.expires_at)></noscript> }
}

fn purchase(reservation: &Reservation, name: Memo<String>, actions: DropActions) -> impl IntoView + use<> {
    let price_cents = reservation.price_cents;
    let label = move || match (actions.purchase.pending.get(), actions.is_giving_back.get()) {
        (true, _) => text::COMPLETING.into(),
        (_, true) => text::GIVING_BACK.into(),
        _ => text::complete_purchase(price_cents),
    };
    let is_off =
        move || actions.purchase.pending.get() || actions.release.pending.get() || actions.is_giving_back.get();
    let button = submit_button("primary", Box::new(label), Some(name), Box::new(is_off), actions.armed);
    form(rpc::Purchase::PATH, reservation, button)
}

fn form<B: IntoView>(path: &'static str, reservation: &Reservation, button: B) -> impl IntoView + use<B> {
    view! {
        <form method="post" action=path>
            {acting_as(expect_context())}
            <input type="hidden" name="drop_id" value=reservation.drop_id />
            <input type="hidden" name="reservation_id" value=reservation.id />
            {button}
        </form>
    }
}
