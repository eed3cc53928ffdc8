//! A drop's stock, as a bar and in text.

use super::live::live;
use crate::{domain::SneakerDrop, text};
use leptos::prelude::*;

/// A bar of the available pairs (solid) and the held ones (hatched), with the counts under it. Its geometry is in
/// attributes, one unit for each pair, because the Content-Security-Policy forbids inline styles.
#[component]
pub fn StockMeter(drop: RwSignal<SneakerDrop>) -> impl IntoView {
    let total = Memo::new(move |_| drop.with(|drop| drop.total_stock));
    let available = Memo::new(move |_| drop.with(|drop| drop.available_stock));
    let held = Memo::new(move |_| drop.with(|drop| drop.held_stock));
    let left = move || text::stock_left(available.get(), total.get());
    view! {
        <div class="stock">
            <div
                class="meter"
                role="meter"
                aria-label=text::STOCK
                aria-valuemin="0"
                aria-valuemax=move || total.get()
                aria-valuenow=move || available.get()
                aria-valuetext=left
            >
                <svg viewBox=move || format!("0 0 {} 8", total.get()) preserveAspectRatio="none" aria-hidden="true">
                    <rect class="held" height="8" width=move || available.get() + held.get() />
                    <rect class="left" height="8" width=move || available.get() />
                </svg>
            </div>
            <p class="counts">
                <span class="left">{live(Box::new(left))}</span>
                <span class="held" data-none=move || (held.get() == 0).then_some("")>
                    {live(Box::new(move || text::reserved_now(held.get())))}
                </span>
            </p>
        </div>
    }
}
