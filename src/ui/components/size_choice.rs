//! The choice of a size in the form that reserves a pair.

use crate::{domain::SneakerDrop, text};
use leptos::{either::Either, prelude::*};

/// One radio button for each size, with its stock; only the label if there is a single size.
#[component]
pub fn SizeChoice(drop: RwSignal<SneakerDrop>) -> impl IntoView {
    let labels =
        Memo::new(move |_| drop.with(|drop| drop.sizes.iter().map(|size| size.label.clone()).collect::<Vec<_>>()));
    move || match &labels.get()[..] {
        [only] => Either::Left(view! { <p class="one-size">{only.clone()}</p> }),
        labels => Either::Right(view! {
            <fieldset class="sizes">
                <legend>{text::SIZE}</legend>
                {labels.iter().map(|label| view! { <SizeOption drop label=label.clone() /> }).collect_view()}
            </fieldset>
        }),
    }
}

/// Without stock it stays visible, but struck through and disabled.
#[component]
fn SizeOption(drop: RwSignal<SneakerDrop>, label: String) -> impl IntoView {
    let available = Memo::new({
        let label = label.clone();
        move |_| {
            let of_size = |drop: &SneakerDrop| {
                drop.sizes.iter().find(|size| size.label == label).map(|size| size.available_stock)
            };
            drop.with(of_size).unwrap_or_default()
        }
    });
    let is_sold_out = move || available.get() == 0;
    view! {
        <label class="size" data-gone=move || is_sold_out().then_some("")>
            <input
                type="radio"
                name="size"
                required
                value=label.clone()
                disabled=is_sold_out
                aria-label={
                    let label = label.clone();
                    move || text::size_and_stock(&label, available.get())
                }
            />
            <span aria-hidden="true">{label}</span>
            <small aria-hidden="true">{move || available.get()}</small>
        </label>
    }
}
