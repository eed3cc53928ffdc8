//! The thin strip on top, and the line at the end.

use super::{
    loaded::Loaded,
    sign_in::{SignInButton, SignInDialog},
    toasts::Toasts,
};
use crate::{
    api,
    live::{Connection, Live},
    words,
};
use leptos::{either::Either, form::ActionForm, prelude::*};
use leptos_router::components::A;

/// Name, places, connection, visitor.
#[component]
pub fn Header() -> impl IntoView {
    view! {
        <header class="site">
            <A href="/" attr:class="brand">
                {words::BRAND}
            </A>
            <nav aria-label=words::PLACES>
                <A href="/" exact=true>
                    {words::DROPS}
                </A>
                <A href="/purchases">{words::MY_PURCHASES}</A>
            </nav>
            <ConnectionStatus />
            <div class="visitor">
                <Loaded is_aside=true>
                    <VisitorBadge />
                </Loaded>
            </div>
        </header>
        <SignInDialog />
    }
}

#[component]
fn VisitorBadge() -> impl IntoView {
    let live = expect_context::<Live>();
    let toasts = expect_context::<Toasts>();
    let sign_out = ServerAction::<api::SignOut>::new();
    Effect::new(move || match sign_out.value().get() {
        Some(Ok(())) => {
            live.change_visitor(None);
        }
        Some(Err(error)) => toasts.error(error.to_string()),
        None => {}
    });
    move || match live.user.get() {
        Some(user) => Either::Left(view! {
            <bdi class="username">{user.username}</bdi>
            <ActionForm action=sign_out>
                <button type="submit" class="quiet">
                    {words::SIGN_OUT}
                </button>
            </ActionForm>
        }),
        None => Either::Right(view! { <SignInButton class="secondary" label=words::SIGN_IN /> }),
    }
}

/// Says in words and shape whether what the page shows is current.
#[component]
fn ConnectionStatus() -> impl IntoView {
    let live = expect_context::<Live>();
    let state = move || match live.connection.get() {
        Connection::Still => ("still", ""),
        Connection::Live => ("live", words::LIVE),
        Connection::Reconnecting => ("reconnecting", words::RECONNECTING),
        Connection::Offline => ("offline", words::OFFLINE),
    };
    view! {
        <p class="connection" role="status" data-state=move || state().0>
            {move || state().1}
        </p>
    }
}

/// How it works, in a line.
#[component]
pub fn Footer() -> impl IntoView {
    view! {
        <footer class="site">
            <p>{words::HOW_IT_WORKS}</p>
        </footer>
    }
}
