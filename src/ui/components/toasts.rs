//! Shows the [`Toasts`], which screen readers announce.

use super::icons::Close;
use crate::{
    client::schedule::{effect, next_frame},
    client::store::Store,
    client::toasts::{Toast, Toasts},
    text,
};
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{DomRect, Element, NodeList};

/// Rendered even without toasts: screen readers announce only changes of a live region that exists already.
#[component]
pub fn ToastRegion() -> impl IntoView {
    let toasts = expect_context::<Toasts>();
    let store = expect_context::<Store>();
    effect(move || {
        // Counts, so that it depends on each of them.
        if toasts.places().iter().filter(|place| place.with(Option::is_some)).count() > 0 {
            // With every tick, as the page may be scrolled meanwhile.
            store.clock.now();
            next_frame(|| {
                if let Ok(Some(region)) = document().query_selector(".toasts") {
                    place(&region);
                }
            });
        }
    });
    view! {
        <section class="toasts" aria-label=text::MESSAGES aria-live="polite" aria-atomic="false">
            {toasts.places().map(shown).into_iter().collect_view()}
        </section>
    }
}

fn shown(place: RwSignal<Option<Toast>>) -> impl IntoView {
    move || {
        place.get().map(|toast| {
            view! {
                <p class="toast" data-kind=toast.kind>
                    <span>{toast.text}</span>
                    <button type="button" aria-label=text::DISMISS data-dismiss=toast.id>
                        <Close />
                    </button>
                </p>
            }
        })
    }
}

/// Where the toasts may be, in this order; the style sheet knows these names.
const PLACES: [&str; 4] = ["bottom", "top", "upper", "lower"];

/// Moves the toasts to where they cover nothing that can be pressed, or at least nothing on a card.
fn place(region: &Element) {
    for pressable in
        [".action :is(button, a, label), :is(header, .bar) :is(a, button)", ":is(.action, .bar) :is(button, a)"]
    {
        let pressable = rects(document().query_selector_all(pressable).ok());
        for place in PLACES {
            // Setting an attribute of this name cannot fail.
            let _ = region.set_attribute("data-place", place);
            let toasts = rects(region.query_selector_all(".toast:not([data-kind=success])").ok());
            if !toasts.iter().any(|toast| pressable.iter().any(|pressable| is_overlapping(toast, pressable))) {
                return;
            }
        }
    }
}

fn rects(elements: Option<NodeList>) -> Vec<DomRect> {
    let elements =
        elements.into_iter().flat_map(|elements| (0..elements.length()).filter_map(move |at| elements.get(at)));
    elements.map(|element| element.unchecked_into::<Element>().get_bounding_client_rect()).collect()
}

fn is_overlapping(a: &DomRect, b: &DomRect) -> bool {
    a.left() < b.right() && b.left() < a.right() && a.top() < b.bottom() && b.top() < a.bottom()
}
