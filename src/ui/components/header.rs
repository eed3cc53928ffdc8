//! The header and footer of every page.

use super::{
    loaded::Loaded,
    sign_in::{SignInButton, SignInDialog},
};
use crate::{
    client::forms::FormPost,
    client::socket,
    client::store::{ConnectionStatus, Store},
    client::toasts::Toasts,
    domain::error::DropError,
    rpc, text,
    ui::router::{Page, Route},
};
use leptos::{either::Either, prelude::*};

#[component]
pub fn Header() -> impl IntoView {
    let route = expect_context::<Route>();
    let current = move |page| move || (route.page.get() == page).then_some("page");
    view! {
        <header class="site">
            <a href=Page::Dashboard.to_string() class="brand" aria-current=current(Page::Dashboard)>
                {text::BRAND}
            </a>
            <nav aria-label=text::PLACES>
                <a href=Page::Dashboard.to_string() aria-current=current(Page::Dashboard)>
                    {text::DROPS}
                </a>
                <a href=Page::Purchases.to_string() aria-current=current(Page::Purchases)>
                    {text::MY_PURCHASES}
                </a>
            </nav>
            <ConnectionIndicator />
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
    let sign_out = FormPost::<rpc::SignOut>::default();
    let on_answer = move |answer: Result<(), DropError>| match answer {
        Ok(()) => socket::change_visitor(store, None),
        Err(error) => toasts.error(error.to_string()),
    };
    move || match store.user.get() {
        Some(user) => Either::Left(view! {
            <bdi class="username">{user.username}</bdi>
            <form method="post" action=sign_out.path() on:submit=move |event| sign_out.send(&event, on_answer)>
                <button type="submit" class="quiet">
                    {text::SIGN_OUT}
                </button>
            </form>
        }),
        None => Either::Right(view! { <SignInButton class="secondary" label=text::SIGN_IN /> }),
    }
}

/// Shows in text and shape, not only in colour, whether the page receives events.
#[component]
fn ConnectionIndicator() -> impl IntoView {
    let store = expect_context::<Store>();
    let state = move || match store.connection.get() {
        ConnectionStatus::Initial => ("still", ""),
        ConnectionStatus::Live => ("live", text::LIVE),
        ConnectionStatus::Reconnecting => ("reconnecting", text::RECONNECTING),
        ConnectionStatus::Offline => ("offline", text::OFFLINE),
    };
    view! {
        <p class="connection" role="status" data-state=move || state().0>
            {move || state().1}
        </p>
    }
}

#[component]
pub fn Footer() -> impl IntoView {
    view! {
        <footer class="site">
            <p>{text::HOW_IT_WORKS}</p>
        </footer>
    }
}
