//! Buttons that submit forms, and what all forms say.

use super::live::live;
use crate::{client::schedule::effect, client::store::Store};
use leptos::{html, prelude::*};

/// A button that is never `disabled`, as the focus would be lost: while it is off, or not yet armed, [`Actions`] ignores it. Only what
/// is off looks like it. `about`, the name of a drop, is for those who hear the button's name without what is around it.
///
/// [`Actions`]: crate::ui::actions::Actions
pub fn submit_button(
    class: &'static str,
    label: Box<dyn Fn() -> String + Send + Sync>,
    about: Option<Memo<String>>,
    is_off: Box<dyn Fn() -> bool>,
    armed: RwSignal<bool>,
) -> impl IntoView {
    let button = NodeRef::<html::Button>::new();
    let is_off_at_first = untrack(&is_off);
    let is_disabled_at_first = is_off_at_first || !armed.get_untracked();
    let label = std::sync::Arc::new(label);
    let name = {
        let label = label.clone();
        move || label() + &about.map(|name| about_drop(&name.get())).unwrap_or_default()
    };
    let name_at_first = untrack(&name);
    // Written by an effect, which takes a third of the code of attributes that are closures.
    effect(move || {
        let (is_off, is_armed) = (is_off(), armed.get());
        if let Some(button) = button.get_untracked() {
            set_if(&button, "data-off", is_off);
            set_if(&button, "aria-disabled", is_off || !is_armed);
            // As with the others, this does not fail.
            let _ = button.set_attribute("aria-label", &name());
        }
    });
    view! {
        <button
            node_ref=button
            type="submit"
            class=class
            data-off=is_off_at_first.then_some("true")
            aria-disabled=is_disabled_at_first.then_some("true")
            aria-label=name_at_first
        >
            {live(Box::new(move || label()))}
        </button>
    }
}

fn set_if(element: &web_sys::Element, attribute: &str, is_set: bool) {
    // Neither fails for names like these.
    let _ = if is_set { element.set_attribute(attribute, "true") } else { element.remove_attribute(attribute) };
}

/// Tells the buttons of several drops apart.
pub fn about_drop(name: &str) -> String {
    format!(", {name}")
}

/// Whom a form acts for when the browser submits it: the user that the page shows. The server refuses it if somebody else is
/// signed in by then.
pub fn acting_as(store: Store) -> impl IntoView {
    store.user_id().map(|id| view! { <input type="hidden" name="user_id" value=id /> })
}
