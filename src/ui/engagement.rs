//! Which cards the visitor is about to use.
//!
//! Nothing may move under a pointer, or under the focus of a keyboard: a click that was meant for one shoe would reserve
//! another. And when the focused part of a card goes, the focus stays in the card.

use crate::client::{
    listen::listen,
    schedule::{after, next_frame},
    toasts::Toasts,
};
use leptos::prelude::*;
use std::cell::Cell;
use wasm_bindgen::JsCast;
use web_sys::{Element, EventTarget, FocusOptions, HtmlElement, MouseEvent};

/// Created once, with the page.
#[derive(Clone, Copy)]
pub struct Engagement {
    /// Whether a card is under the pointer or has the keyboard's focus.
    pub is_engaged: RwSignal<bool>,
    toasts: Toasts,
}

thread_local! {
    /// The drop of the card that was focused last, until something else is.
    static FOCUSED: Cell<Option<i64>> = const { Cell::new(None) };

    static IS_CARD_POINTED_AT: Cell<bool> = const { Cell::new(false) };

    static IS_TOAST_POINTED_AT: Cell<bool> = const { Cell::new(false) };
}

impl Engagement {
    pub fn new(toasts: Toasts) -> Self {
        Self { is_engaged: RwSignal::new(false), toasts }
    }

    /// Follows pointer and focus. Only in the browser, after hydration.
    pub fn start(self) {
        listen("pointerover", move |event| self.point_at(event.target()));
        // A pointer that has left the window is over nothing else.
        listen("pointerout", move |event| self.point_at(event.unchecked_into::<MouseEvent>().related_target()));
        listen("pointerdown", move |event| {
            if FOCUSED.get() != drop_at(event.target()) {
                FOCUSED.set(None);
            }
        });
        listen("focusin", move |event| {
            FOCUSED.set(drop_at(event.target()));
            self.update();
        });
        listen("focusout", move |_| self.update());
    }

    fn point_at(self, target: Option<EventTarget>) {
        IS_TOAST_POINTED_AT.set(closest(target.clone(), ".toasts").is_some());
        IS_CARD_POINTED_AT.set(drop_at(target).is_some());
        self.update();
    }

    fn update(self) {
        let has = |selector| document().query_selector(selector).is_ok_and(|found| found.is_some());
        // Whoever points at a message or has the focus in one may still be reading.
        self.toasts.pause(IS_TOAST_POINTED_AT.get() || has(".toasts :focus"));
        let is_engaged = move || IS_CARD_POINTED_AT.get() || has("article :focus-visible");
        let set = move |is_engaged| {
            self.is_engaged.maybe_update(|known| std::mem::replace(known, is_engaged) != is_engaged);
        };
        if is_engaged() {
            set(true);
        } else {
            // After the click that a lifted finger may still cause.
            after(RELEASE_MS, move || set(is_engaged())).forget();
        }
    }
}

/// Whether this drop's card was focused last.
pub fn was_focused(drop_id: i64) -> bool {
    FOCUSED.get() == Some(drop_id)
}

/// Lets this drop's card have the focus as soon as nothing else has it.
pub fn hand_focus_to(drop_id: i64) {
    FOCUSED.set(Some(drop_id));
}

/// Focuses an element after the next rendering if by then nothing has the focus, and no card takes it.
pub fn focus_if_lost(selector: &'static str) {
    next_frame(move || {
        if is_focus_lost() && FOCUSED.get().is_none() {
            focus(document().query_selector(selector).ok().flatten());
        }
    });
}

/// Focuses the page's heading after the next rendering if the focus went with a part of the bar whose drop has no card here.
pub fn focus_heading_if_lost() {
    next_frame(move || {
        if is_focus_lost() && FOCUSED.get().is_some_and(|drop_id| card_of(drop_id).is_none()) {
            focus(document().query_selector("main h1").ok().flatten());
        }
    });
}

/// Focuses an element without scrolling to it.
pub fn focus(element: Option<Element>) {
    let options = FocusOptions::new();
    options.set_prevent_scroll(true);
    if let Some(element) = element {
        // One that cannot be focused leaves the focus where it is.
        let _ = element.unchecked_into::<HtmlElement>().focus_with_options(&options);
    }
}

/// Whether nothing has the focus, or what is disabled or hidden by now and will lose it.
pub fn is_focus_lost() -> bool {
    const LOST: &str = "body, :disabled, [data-state=held] .offer *, [data-state=bought]:not([data-again]) .offer *";
    document().active_element().is_none_or(|active| active.matches(LOST) == Ok(true))
}

/// How long after pointer and focus have left.
const RELEASE_MS: u32 = 500;

/// The drop's card, if it is on the page.
pub fn card_of(drop_id: i64) -> Option<Element> {
    document().query_selector(&format!("article[data-drop='{drop_id}']")).ok().flatten()
}

/// Whether this drop's card can be seen on a device without a pointer that hovers.
pub fn is_touched_in_sight(drop_id: i64) -> bool {
    let is_touched = || window().match_media("(hover: none)").ok().flatten().is_some_and(|touch| touch.matches());
    let height = || document().document_element().map_or(0, |page| page.client_height());
    card_of(drop_id)
        .map(|card| card.get_bounding_client_rect())
        .is_some_and(|card| is_touched() && card.bottom() > 0.0 && card.top() < f64::from(height()))
}

/// The drop of the card, or of the part of the bar, that contains an element.
pub fn drop_at(target: Option<EventTarget>) -> Option<i64> {
    closest(target, "[data-drop]")?.get_attribute("data-drop")?.parse().ok()
}

/// The element itself or the nearest around it that is like this.
pub fn closest(target: Option<EventTarget>, selector: &str) -> Option<Element> {
    target?.dyn_into::<Element>().ok()?.closest(selector).ok().flatten()
}
