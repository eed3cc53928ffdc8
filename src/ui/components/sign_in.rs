//! The sign-in dialog: a popover, which leaves the page visible behind it and opens without any script.

use super::{
    buttons::submit_button,
    icons::Close,
    live::{attribute, live},
    loaded::Loaded,
};
use crate::{client::store::Store, domain::USERNAME_MAX_LENGTH, text, ui::actions::Actions};
use leptos::{attr::custom::custom_attribute, prelude::*};

/// The dialog's id, to which the `popovertarget` of its buttons refers.
const DIALOG_ID: &str = "sign-in";

/// Opens the dialog. If it stands on a card, a pair of that drop is reserved after signing in.
#[component]
pub fn SignInButton(
    /// `primary` or `secondary`: how much it stands out.
    class: &'static str,
    label: &'static str,
    /// What tells it from the buttons of other drops.
    #[prop(optional)]
    about: String,
) -> impl IntoView {
    view! {
        <button type="button" class=class popovertarget=DIALOG_ID aria-label=format!("{label}{about}")>
            {label}
        </button>
    }
}

/// Rendered only while the visitor is signed out.
#[component]
pub fn SignInDialog() -> impl IntoView {
    view! {
        <Loaded is_aside=true>
            <SignInForm />
        </Loaded>
    }
}

#[component]
fn SignInForm() -> impl IntoView {
    let store = expect_context::<Store>();
    let Actions { sign_in, sign_in_error: error, .. } = expect_context();
    move || {
        store.user.with(Option::is_none).then(|| {
            view! {
                <dialog id=DIALOG_ID popover="auto" class="dialog" aria-labelledby="sign-in-title">
                    <form method="post" action=sign_in.path()>
                        <h2 id="sign-in-title">{text::SIGN_IN}</h2>
                        <p class="quiet">{text::SIGN_IN_HINT}</p>
                        <label for="username">{text::USERNAME}</label>
                        <input
                            id="username"
                            name="username"
                            type="text"
                            required
                            maxlength=USERNAME_MAX_LENGTH
                            autofocus
                            autocomplete="username"
                            autocapitalize="none"
                            {..custom_attribute("autocorrect", "off")}
                            spellcheck="false"
                            aria-invalid=attribute(move || error.with(Option::is_some).then(|| "true".into()))
                            aria-describedby="username-error"
                        />
                        <p id="username-error" class="field-error" role="alert">
                            {live(Box::new(move || error.get().unwrap_or_default()))}
                        </p>
                        {submit_button(
                            "primary",
                            Box::new(|| text::ENTER.into()),
                            None,
                            Box::new(move || sign_in.pending.get()),
                            RwSignal::new(true),
                        )}
                    </form>
                    <button
                        type="button"
                        class="close"
                        aria-label=text::CLOSE
                        popovertarget=DIALOG_ID
                        popovertargetaction="hide"
                    >
                        <Close />
                    </button>
                </dialog>
            }
        })
    }
}
