//! The username prompt: a dialog that leaves the page visible behind it, and opens without any script.

use super::{icons::Close, loaded::Loaded};
use crate::{api, live::Live, words};
use leptos::{form::ActionForm, prelude::*};

/// The dialog's id, for the buttons that open it (`popovertarget`).
pub const SIGN_IN: &str = "sign-in";

/// A button that opens the dialog.
#[component]
pub fn SignInButton(
    /// How loud it is.
    class: &'static str,
    /// What it says.
    label: &'static str,
) -> impl IntoView {
    view! {
        <button type="button" class=class popovertarget=SIGN_IN>
            {label}
        </button>
    }
}

/// The dialog; there while nobody is signed in.
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
    let live = expect_context::<Live>();
    let sign_in = ServerAction::<api::SignIn>::new();
    let pending = sign_in.pending();
    let error = move || sign_in.value().with(|answer| answer.as_ref()?.as_ref().err().map(ToString::to_string));
    Effect::new(move || {
        if let Some(Ok(visitor)) = sign_in.value().get() {
            live.change_visitor(Some(visitor));
        }
    });
    view! {
        <Show when=move || live.user.with(Option::is_none)>
            <dialog id=SIGN_IN popover="auto" class="dialog" aria-labelledby="sign-in-title">
                <ActionForm action=sign_in>
                    <h2 id="sign-in-title">{words::SIGN_IN}</h2>
                    <p class="quiet">{words::SIGN_IN_HINT}</p>
                    <label for="username">{words::USERNAME}</label>
                    <input
                        id="username"
                        name="username"
                        type="text"
                        required
                        maxlength="64"
                        autofocus
                        autocomplete="username"
                        autocapitalize="none"
                        spellcheck="false"
                        aria-invalid=move || error().map(|_| "true")
                        aria-describedby="username-error"
                    />
                    <p id="username-error" class="field-error" role="alert">
                        {error}
                    </p>
                    <button type="submit" class="primary" disabled=move || pending.get()>
                        {words::ENTER}
                    </button>
                </ActionForm>
                <button
                    type="button"
                    class="close"
                    aria-label=words::CLOSE
                    popovertarget=SIGN_IN
                    popovertargetaction="hide"
                >
                    <Close />
                </button>
            </dialog>
        </Show>
    }
}
