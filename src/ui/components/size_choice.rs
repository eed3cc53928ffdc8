//! The choice of a size in the form that reserves a pair.

use super::live::live;
use crate::{client::schedule::effect, domain::SneakerDrop, text, ui::actions::DropActions};
use leptos::{html, prelude::*};

/// How many sizes are shown at once.
const SHOWN: usize = 8;

/// Longer labels, in bytes, have wider buttons.
const LONG_LABEL: usize = 8;

/// One radio button for each size, with its stock; only the label if there is a single size. Of many sizes those nearest to the
/// visitor's are shown and the others unfold.
#[component]
pub fn SizeChoice(
    drop: RwSignal<SneakerDrop>,
    actions: DropActions,
    /// Said instead of the heading.
    all_reserved: Memo<Option<String>>,
) -> impl IntoView {
    let labels =
        Memo::new(move |_| drop.with(|drop| drop.sizes.iter().map(|size| size.label.clone()).collect::<Vec<_>>()));
    let limit = Memo::new(move |_| drop.with(|drop| drop.limit_per_user));
    let heading = move || {
        let size = || match &labels.get()[..] {
            [only] => only.clone(),
            _ => text::SIZE.into(),
        };
        let gone = || actions.gone.get().map_or_else(size, |label| text::size_gone(&label));
        all_reserved.get().unwrap_or_else(gone)
    };
    view! {
        <fieldset class="sizes">
            <legend data-gone=move || actions.gone.with(Option::is_some).then_some("") aria-live="polite">
                {live(Box::new(heading))}
                <span class="limit">{live(Box::new(move || limit.get().map(text::limit).unwrap_or_default()))}</span>
            </legend>
            {move || {
                let mut far = labels.get();
                let mine = untrack(|| actions.choice.get()).and_then(|mine| far.iter().position(|label| *label == mine));
                let count = far.len();
                let is_wide = far.iter().any(|label| label.len() > LONG_LABEL).then_some("");
                let first = mine.unwrap_or_default().saturating_sub(SHOWN / 2).min(count.saturating_sub(SHOWN));
                let near = far.drain(first..count.min(first + SHOWN)).collect();
                let options = move |labels: Vec<String>| {
                    labels.into_iter().map(|label| view! { <SizeOption drop actions label /> }).collect_view()
                };
                // A drop without sizes has nothing to choose.
                (count > 1)
                    .then(|| {
                        let more = (!far.is_empty())
                            .then(|| {
                                view! {
                                    <details>
                                        <summary>{text::all_sizes(count)}</summary>
                                        <div class="options" data-wide=is_wide>{options(far)}</div>
                                    </details>
                                }
                            });
                        view! {
                            <div class="options" data-wide=is_wide>{options(near)}</div>
                            {more}
                        }
                    })
            }}
        </fieldset>
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
    let is_chosen_at_first = actions.choice.with_untracked(|choice| choice.as_ref() == Some(&own));
    effect(move || {
        let is_chosen = actions.choice.with(|choice| choice.as_ref() == Some(&own));
        if let Some(input) = input.get_untracked() {
            input.set_checked(is_chosen);
            // What is chosen is not folded away.
            if let Some(folded) = input.closest("details").ok().flatten().filter(|_| is_chosen) {
                // This does not fail for a name like this.
                let _ = folded.set_attribute("open", "");
            }
        }
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
                checked=is_chosen_at_first
                aria-label=move || text::size_and_stock(&spoken, available.get())
            />
            <span aria-hidden="true" dir="auto">{label}</span>
            <small aria-hidden="true">{live(Box::new(move || text::left(available.get())))}</small>
        </label>
    }
}
