//! A drop's stock, as a bar and in text.

use super::live::{attribute, flag, live};
use crate::{client::store::Store, domain::SneakerDrop, text, ui::card_state::CardState};
use leptos::prelude::*;

/// A bar of the available pairs (solid) and those that others hold (hatched), with the counts under it; before the drop opens and
/// when it is over, only what there is or was. Its geometry is in attributes, one unit for each pair, because the
/// Content-Security-Policy forbids inline styles.
#[component]
pub fn StockMeter(drop: RwSignal<SneakerDrop>, state: Memo<CardState>) -> impl IntoView {
    let store = expect_context::<Store>();
    let total = Memo::new(move |_| drop.with(|drop| drop.total_stock));
    let available = Memo::new(move |_| drop.with(|drop| drop.available_stock));
    let held = Memo::new(move |_| {
        let own = i32::from(store.reservation(drop.with(|drop| drop.id)).is_some());
        (drop.with(|drop| drop.held_stock) - own).max(0)
    });
    // Also one pair of a thousand can be seen.
    let held_width = move || if held.get() > 0 { held.get().max(total.get() / 40) } else { 0 };
    let is_on_sale = move || state.with(|state| !matches!(state, CardState::Upcoming | CardState::Ended));
    let available_width = move || if is_on_sale() { available.get().min(total.get() - held_width()) } else { 0 };
    let left = move || text::stock_left(available.get(), total.get());
    let said = move || {
        state.with(|state| match state {
            CardState::Upcoming => text::pairs(total.get(), drop.with(|drop| drop.sizes.len())),
            CardState::SoldOut => text::pairs(total.get(), 1),
            CardState::Ended => text::sold(total.get() - available.get() - held.get(), total.get()),
            _ => left(),
        })
    };
    view! {
        <div class="stock">
            <div
                class="meter"
                role="meter"
                aria-label=text::STOCK
                aria-valuemin="0"
                aria-valuemax=attribute(move || Some(total.get().to_string()))
                aria-valuenow=attribute(move || Some(available.get().to_string()))
                aria-valuetext=attribute(move || Some(left()))
            >
                <svg viewBox=attribute(move || Some(format!("0 0 {} 8", total.get()))) preserveAspectRatio="none" aria-hidden="true">
                    <rect class="held" height="8" width=attribute(move || Some((available_width() + held_width()).to_string())) />
                    <rect class="left" height="8" width=attribute(move || Some(available_width().to_string())) />
                </svg>
            </div>
            <p class="counts">
                <span class="left">{live(Box::new(said))}</span>
                <span class="held" data-none=flag(move || held.get() == 0)>
                    {live(Box::new(move || text::reserved_now(held.get())))}
                </span>
            </p>
        </div>
    }
}
