//! A drop's card as buyers see it in each state.

use crate::{
    client::{store::Store, toasts::Toasts},
    domain::{Purchase, Reservation, ReservationStatus, Snapshot, SneakerDrop, User, Visitor},
    text::{self, desk},
    ui::{actions::Actions, components::drop_card::DropCard},
};
use chrono::{DateTime, TimeDelta, Utc};
use leptos::prelude::*;

/// The cards side by side. Nothing in them can be pressed.
pub(super) fn cards(drop: &SneakerDrop, now: DateTime<Utc>) -> impl IntoView + use<> {
    let cards = states(drop, now).into_iter().enumerate().map(|(index, state)| {
        // Each card has ids of its own in the document, and the tint of the drop.
        let id = drop.id + 8 * index as i64;
        let label = state.label;
        view! {
            <figure>
                <figcaption>{label}</figcaption>
                <div inert inner_html=card(state, id, now)></div>
            </figure>
        }
    });
    cards.collect_view()
}

/// A drop at a moment of its life, as one visitor sees it.
struct State {
    label: &'static str,
    drop: SneakerDrop,
    /// What the visitor has of the drop.
    held: bool,
    bought: bool,
}

fn states(drop: &SneakerDrop, now: DateTime<Utc>) -> Vec<State> {
    let with_stock = |available: i32, held: i32| {
        let mut drop = SneakerDrop { starts_at: (now - TimeDelta::hours(1)).into(), paused: false, ..drop.clone() };
        drop.ends_at = drop.ends_at.filter(|ends_at| **ends_at > now);
        let mut left = available;
        for size in &mut drop.sizes {
            size.available_stock = size.total_stock.min(left);
            left -= size.available_stock;
        }
        SneakerDrop { available_stock: available, held_stock: held, ..drop }
    };
    let total = drop.total_stock;
    let open = with_stock(total, 0);
    let upcoming = drop.starts_at.max((now + TimeDelta::hours(2)).into());
    let state = |label, drop| State { label, drop, held: false, bought: false };
    vec![
        state(text::UPCOMING, SneakerDrop { starts_at: upcoming, ends_at: None, ..open.clone() }),
        state(desk::LIVE, open.clone()),
        State { held: true, ..state(desk::RESERVED, with_stock((total - 1).max(0), 1)) },
        State { bought: true, ..state(desk::BOUGHT, with_stock((total - 1).max(0), 0)) },
        state(desk::PAUSED, SneakerDrop { paused: true, ..open.clone() }),
        state(desk::ALL_RESERVED, with_stock(0, total)),
        state(text::SOLD_OUT, with_stock(0, 0)),
        state(text::ENDED, SneakerDrop { ends_at: Some((now - TimeDelta::minutes(1)).into()), ..open }),
    ]
}

/// As HTML, rendered by the component of the shop.
fn card(State { drop, held, bought, .. }: State, id: i64, now: DateTime<Utc>) -> String {
    let drop = SneakerDrop { id, ..drop };
    let size = drop.sizes.first().map(|size| size.label.clone()).unwrap_or_default();
    let reservation = Reservation {
        id: 1,
        drop_id: id,
        user_id: 1,
        size: size.clone(),
        price_cents: drop.price_cents,
        status: ReservationStatus::Active,
        expires_at: (now + TimeDelta::seconds(42)).into(),
        created_at: now.into(),
    };
    let purchase = Purchase {
        id: 123,
        drop_id: id,
        user_id: 1,
        reservation_id: 1,
        size,
        price_cents: drop.price_cents,
        created_at: now.into(),
    };
    let visitor = Visitor {
        user: User { id: 1, username: desk::SAMPLE_BUYER.into() },
        reservations: held.then_some(reservation).into_iter().collect(),
        purchases: bought.then_some(purchase).into_iter().collect(),
        cancelled_purchases: vec![],
    };
    let snapshot = Snapshot {
        now: now.into(),
        epoch: String::new(),
        origin: String::new(),
        drops: vec![drop.clone()],
        visitor: Some(visitor),
    };
    let owner = Owner::new();
    let html = owner.with(|| {
        let toasts = Toasts::new();
        provide_context(toasts);
        let store = Store::new(toasts, Ok(snapshot), None);
        provide_context(store);
        provide_context(Actions::new(store));
        view! { <DropCard drop=ArcRwSignal::new(drop) /> }.to_html()
    });
    owner.cleanup();
    html
}
