//! The choice of a size in the form that reserves a pair.

use super::live::{attribute, flag, live};
use crate::{
    client::schedule::effect,
    domain::{Size, SneakerDrop},
    text,
    ui::actions::DropActions,
};
use leptos::{html, prelude::*};

/// How many sizes are shown at once.
const SHOWN: usize = 8;

/// Longer labels, in bytes, have wider buttons.
const LONG_LABEL: usize = 7;

/// One radio button for each size, with its stock; only the label if there is a single size. Of many sizes
/// some are shown, see [`shown_at_once`], and the others unfold.
#[component]
pub fn SizeChoice(
    drop: RwSignal<SneakerDrop>,
    actions: DropActions,
    /// Said instead of the heading.
    all_reserved: Memo<Option<String>>,
) -> impl IntoView {
    let labels =
        Memo::new(move |_| drop.with(|drop| drop.sizes.iter().map(|size| size.label.clone()).collect::<Vec<_>>()));
    let limit = move || drop.with(|drop| drop.limit_per_user).map(text::limit).unwrap_or_default();
    // Announced, as it concerns the visitor. No memo, as Leptos misses a change of what is read through one and read again after it.
    let gone = move || match all_reserved.with(Option::is_some) {
        true => None,
        false => actions.gone.get().map(|label| text::size_gone(&label)),
    };
    let heading = move || match &labels.get()[..] {
        _ if gone().is_some() => String::new(),
        [only] => all_reserved.get().unwrap_or_else(|| only.clone()),
        _ => all_reserved.get().unwrap_or_else(|| text::SIZE.into()),
    };
    view! {
        <fieldset class="sizes">
            <legend data-gone=flag(move || actions.gone.with(Option::is_some))>
                <span>
                    <span aria-live="polite">{live(Box::new(move || gone().unwrap_or_default()))}</span>
                    {live(Box::new(heading))}
                </span>
                <span class="limit">{live(Box::new(limit))}</span>
            </legend>
            {move || {
                let labels = labels.get();
                let mine = untrack(|| actions.choice.get()).and_then(|mine| labels.iter().position(|label| *label == mine));
                let count = labels.len();
                let is_wide = labels.iter().any(|label| label.len() > LONG_LABEL).then_some("");
                let is_left = drop.with_untracked(|drop| {
                    drop.sizes.iter().map(|size| size.available_stock > 0).collect::<Vec<_>>()
                });
                let is_shown = shown_at_once(&is_left, mine.unwrap_or_default());
                let (mut near, mut far) = (vec![], vec![]);
                for (label, is_shown) in labels.into_iter().zip(is_shown) {
                    if is_shown { &mut near } else { &mut far }.push(label);
                }
                let shown = near.clone();
                // Once unfolded it stays: nothing moves when a pair comes back.
                let is_used_up = Memo::new(move |before| {
                    let is_none = |size: &Size| size.available_stock == 0 || !shown.contains(&size.label);
                    before == Some(&true)
                        || drop.with(|drop| drop.available_stock > 0 && drop.sizes.iter().all(is_none))
                });
                let options = move |labels: Vec<String>| {
                    labels.into_iter().map(|label| view! { <SizeOption drop actions label /> }).collect_view()
                };
                // A drop without sizes has nothing to choose.
                (count > 1)
                    .then(|| {
                        let more = (!far.is_empty())
                            .then(|| {
                                view! {
                                    <details open=flag(move || is_used_up.get())>
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

/// Without stock it stays visible, but disabled, and struck through if no pair of the drop is held that may come back.
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
    let may_come_back = Memo::new(move |_| drop.with(|drop| drop.held_stock > 0));
    let is_sold_out = move || available.get() == 0;
    let is_gone = move || is_sold_out() && !may_come_back.get();
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
        <label class="size" data-none=flag(is_sold_out) data-gone=flag(is_gone)>
            <input
                node_ref=input
                type="radio"
                name="size"
                required
                value=label.clone()
                disabled=flag(is_sold_out)
                checked=is_chosen_at_first
                aria-label=attribute(move || Some(text::size_and_stock(&spoken, available.get())))
            />
            <span aria-hidden="true" dir="auto">{label}</span>
            <small aria-hidden="true">{live(Box::new(move || text::left(available.get(), may_come_back.get())))}</small>
        </label>
    }
}

/// Which sizes are shown while the others are folded away: those that are left before those that are not, and of these the
/// nearest to the visitor's.
fn shown_at_once(is_left: &[bool], mine: usize) -> Vec<bool> {
    let mut shown = vec![false; is_left.len()];
    let mut room = SHOWN;
    for wanted in [true, false] {
        for distance in 0..is_left.len() {
            for at in [mine.wrapping_sub(distance), mine + distance] {
                if room > 0 && is_left.get(at) == Some(&wanted) && !std::mem::replace(&mut shown[at], true) {
                    room -= 1;
                }
            }
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_that_are_left_are_shown_before_those_that_are_gone() {
        let all = |count| vec![true; count];
        let only = |left: &[usize]| (0..12).map(|at| left.contains(&at)).collect::<Vec<_>>();
        for (is_left, mine, expected) in [
            (vec![], 0, vec![]),
            (all(3), 2, vec![0, 1, 2]),
            (all(12), 0, (0..8).collect()),
            (all(12), 11, (4..12).collect()),
            (all(12), 6, (2..10).collect::<Vec<_>>()),
            (only(&[8, 9, 10, 11]), 0, vec![0, 1, 2, 3, 8, 9, 10, 11]),
            (only(&[0, 11]), 6, vec![0, 3, 4, 5, 6, 7, 8, 11]),
            (only(&[]), 0, (0..8).collect()),
            (only(&[11]), 0, vec![0, 1, 2, 3, 4, 5, 6, 11]),
        ] {
            let shown = shown_at_once(&is_left, mine);
            let shown: Vec<_> = (0..is_left.len()).filter(|at| shown[*at]).collect();
            assert_eq!(shown, expected, "{is_left:?} near {mine}");
        }
    }
}
