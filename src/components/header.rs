//! The thin strip on top, and the line at the end.

use super::{
    loaded::Loaded,
    sign_in::{SignInButton, SignInDialog},
    toasts::Toasts,
};
use crate::{
    api,
    call::Call,
    error::DropError,
    live::{Connection, Live},
    route::{Page, Route},
    words,
};
use leptos::{either::Either, prelude::*, server_fn::ServerFn};

/// Name, places, connection, visitor.
#[component]
pub fn Header() -> impl IntoView {
    let route = expect_context::<Route>();
    let current = move |page| move || (route.page.get() == page).then_some("page");
    view! {
        <header class="site">
            <a href="/" class="brand" aria-current=current(Page::Dashboard)>
                {words::BRAND}
            </a>
            <nav aria-label=words::PLACES>
                <a href="/" aria-current=current(Page::Dashboard)>
                    {words::DROPS}
                </a>
                <a href="/purchases" aria-current=current(Page::Purchases)>
                    {words::MY_PURCHASES}
                </a>
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
    let sign_out = Call::new(api::SignOut::PATH);
    let answered = move |answer: Result<(), DropError>| match answer {
        Ok(()) => live.change_visitor(None),
        Err(error) => toasts.error(error.to_string()),
    };
    move || match live.user.get() {
        Some(user) => Either::Left(view! {
            <bdi class="username">{user.username}</bdi>
            <form method="post" action=sign_out.path on:submit=move |event| sign_out.send(&event, answered)>
                <button type="submit" class="quiet">
                    {words::SIGN_OUT}
                </button>
            </form>
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
