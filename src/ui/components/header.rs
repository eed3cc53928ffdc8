//! The thin strip on top, and the line at the end.

use super::{
    loaded::Loaded,
    sign_in::{SignInButton, SignInDialog},
    toasts::Toasts,
};
use crate::{
    client::forms::FormPost,
    client::store::{Connection, Store},
    domain::error::DropError,
    rpc, text,
    ui::router::{Page, Route},
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
                {text::BRAND}
            </a>
            <nav aria-label=text::PLACES>
                <a href="/" aria-current=current(Page::Dashboard)>
                    {text::DROPS}
                </a>
                <a href="/purchases" aria-current=current(Page::Purchases)>
                    {text::MY_PURCHASES}
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
    let store = expect_context::<Store>();
    let toasts = expect_context::<Toasts>();
    let sign_out = FormPost::new(rpc::SignOut::PATH);
    let answered = move |answer: Result<(), DropError>| match answer {
        Ok(()) => store.change_visitor(None),
        Err(error) => toasts.error(error.to_string()),
    };
    move || match store.user.get() {
        Some(user) => Either::Left(view! {
            <bdi class="username">{user.username}</bdi>
            <form method="post" action=sign_out.path on:submit=move |event| sign_out.send(&event, answered)>
                <button type="submit" class="quiet">
                    {text::SIGN_OUT}
                </button>
            </form>
        }),
        None => Either::Right(view! { <SignInButton class="secondary" label=text::SIGN_IN /> }),
    }
}

/// Says in words and shape whether what the page shows is current.
#[component]
fn ConnectionStatus() -> impl IntoView {
    let store = expect_context::<Store>();
    let state = move || match store.connection.get() {
        Connection::Still => ("still", ""),
        Connection::Live => ("live", text::LIVE),
        Connection::Reconnecting => ("reconnecting", text::RECONNECTING),
        Connection::Offline => ("offline", text::OFFLINE),
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
            <p>{text::HOW_IT_WORKS}</p>
        </footer>
    }
}
