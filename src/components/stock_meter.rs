//! How many pairs are left, as a bar and in words.

use crate::{domain::StockLevel, words};
use leptos::prelude::*;

/// A bar of what can be reserved (solid) and what others hold (hatched), with the counts under it. Geometry is in
/// attributes, as the Content-Security-Policy allows no inline style.
#[component]
pub fn StockMeter(
    /// The counts, live.
    #[prop(into)]
    stock: Signal<StockLevel>,
) -> impl IntoView {
    let left = Memo::new(move |_| words::stock_left(stock.get()));
    let held = Memo::new(move |_| stock.get().held);
    let percent = move |pairs: i32, total: i32| format!("{:.2}", f64::from(pairs) * 100.0 / f64::from(total.max(1)));
    let available_width = Memo::new(move |_| percent(stock.get().available, stock.get().total));
    let taken_width = Memo::new(move |_| percent(stock.get().available + stock.get().held, stock.get().total));
    view! {
        <div class="stock">
            <div
                class="meter"
                role="meter"
                aria-label=words::STOCK
                aria-valuemin="0"
                aria-valuemax=move || stock.get().total
                aria-valuenow=move || stock.get().available
                aria-valuetext=move || left.get()
            >
                <svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
                    <rect class="held" height="8" width=move || taken_width.get() />
                    <rect class="left" height="8" width=move || available_width.get() />
                </svg>
            </div>
            <p class="counts">
                <span class="left">{move || left.get()}</span>
                <span class="held" data-none=move || (held.get() == 0).then_some("")>
                    {move || words::reserved_now(held.get())}
                </span>
            </p>
        </div>
    }
}
