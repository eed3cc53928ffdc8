//! The choice of a size in the form that reserves a pair.

use crate::{domain::SneakerDrop, text};
use leptos::{either::Either, prelude::*};

/// One radio button for each size, with its stock; only the label if there is a single size.
#[component]
pub fn SizeChoice(drop: RwSignal<SneakerDrop>) -> impl IntoView {
    let count = drop.with_untracked(|drop| drop.sizes.len());
    if count == 1 {
        let label = drop.with_untracked(|drop| drop.sizes[0].label.clone());
        return Either::Left(view! { <p class="one-size">{label}</p> });
    }
    Either::Right(view! {
        <fieldset class="sizes">
            <legend>{text::SIZE}</legend>
            {(0..count).map(|index| view! { <SizeOption drop index /> }).collect_view()}
        </fieldset>
    })
}

/// Without stock it stays visible, but struck through and disabled.
#[component]
fn SizeOption(drop: RwSignal<SneakerDrop>, index: usize) -> impl IntoView {
    let size = Memo::new(move |_| drop.with(|drop| drop.sizes[index].clone()));
    let is_sold_out = move || size.get().available_stock == 0;
    let label = size.get_untracked().label;
    view! {
        <label class="size" data-gone=move || is_sold_out().then_some("")>
            <input
                type="radio"
                name="size"
                required
                value=label.clone()
                disabled=is_sold_out
                aria-label=move || text::size_and_stock(&size.get())
            />
            <span aria-hidden="true">{label}</span>
            <small aria-hidden="true">{move || size.get().available_stock}</small>
        </label>
    }
}
