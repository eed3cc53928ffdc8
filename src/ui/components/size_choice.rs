//! The choice of a size in the form that reserves a pair.

use super::live::live;
use crate::{client::schedule::effect, domain::SneakerDrop, text, ui::actions::DropActions};
use leptos::{either::Either, html, prelude::*};

/// One radio button for each size, with its stock; only the label if there is a single size.
#[component]
pub fn SizeChoice(
    drop: RwSignal<SneakerDrop>,
    actions: DropActions,
    /// Said instead of the heading.
    all_reserved: Memo<Option<String>>,
) -> impl IntoView {
    let labels =
        Memo::new(move |_| drop.with(|drop| drop.sizes.iter().map(|size| size.label.clone()).collect::<Vec<_>>()));
    move || match &labels.get()[..] {
        [only] => {
            let only = only.clone();
            Either::Left(
                view! { <p class="one-size">{live(Box::new(move || all_reserved.get().unwrap_or(only.clone())))}</p> },
            )
        }
        labels => {
            let heading = move || {
                let gone = || actions.gone.get().map_or(text::SIZE.into(), |label| text::size_gone(&label));
                all_reserved.get().unwrap_or_else(gone)
            };
            Either::Right(view! {
                <fieldset class="sizes">
                    <legend data-gone=move || actions.gone.with(Option::is_some).then_some("") aria-live="polite">
                        {live(Box::new(heading))}
                    </legend>
                    {labels.iter().map(|label| view! { <SizeOption drop actions label=label.clone() /> }).collect_view()}
                </fieldset>
            })
        }
    }
}

/// Without stock it stays visible, but struck through and disabled.
#[component]
fn SizeOption(drop: RwSignal<SneakerDrop>, actions: DropActions, label: String) -> impl IntoView {
    let available = {
        let label = label.clone();
        Memo::new(move |_| {
            let of_size = |drop: &SneakerDrop| {
                drop.sizes.iter().find(|size| size.label == label).map(|size| size.available_stock)
            };
            drop.with(of_size).unwrap_or_default()
        })
    };
    let is_sold_out = move || available.get() == 0;
    let input = NodeRef::<html::Input>::new();
    let (own, spoken) = (label.clone(), label.clone());
    effect(move || {
        let is_chosen = actions.choice.with(|choice| choice.as_ref() == Some(&own));
        input.get_untracked().iter().for_each(|input| input.set_checked(is_chosen));
    });
    view! {
        <label class="size" data-gone=move || is_sold_out().then_some("")>
            <input
                node_ref=input
                type="radio"
                name="size"
                required
                value=label.clone()
                disabled=is_sold_out
                aria-label=move || text::size_and_stock(&spoken, available.get())
            />
            <span aria-hidden="true">{label}</span>
            <small aria-hidden="true">{live(Box::new(move || available.get().to_string()))}</small>
        </label>
    }
}
