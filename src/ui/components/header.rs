//! The header and footer of every page.

use super::{
    buttons::{acting_as, submit_button},
    held::HeldBar,
    live::{attribute, live},
    loaded::Loaded,
    sign_in::{SignInButton, SignInDialog},
};
use crate::{
    client::store::{ConnectionStatus, Store},
    text,
    ui::actions::{Actions, armed},
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
            <HeldBar />
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
    let sign_out = expect_context::<Actions>().sign_out;
    move || match store.user.get() {
        Some(user) => Either::Left(view! {
            <bdi class="username">{user.username}</bdi>
            <form method="post" action=sign_out.path()>
                {acting_as(store)}
                {submit_button(
                    "quiet",
                    Box::new(|| text::SIGN_OUT.into()),
                    None,
                    Box::new(move || sign_out.pending.get()),
                    armed(!store.clock.is_started()),
                )}
            </form>
        }),
        None => Either::Right(view! { <SignInButton class="secondary" label=text::SIGN_IN /> }),
    }
}

/// Shows in text and shape, not only in colour, how the page hears of changes.
#[component]
fn ConnectionIndicator() -> impl IntoView {
    let store = expect_context::<Store>();
    let state = move || match store.connection.get() {
        ConnectionStatus::Initial => ("still", ""),
        ConnectionStatus::Live => ("live", text::CONNECTED),
        ConnectionStatus::Slower => ("live", text::CONNECTED_SLOWER),
        ConnectionStatus::Reconnecting => ("reconnecting", text::RECONNECTING),
        ConnectionStatus::Offline => ("offline", text::OFFLINE),
        ConnectionStatus::Outdated => ("offline", text::OUT_OF_DATE),
    };
    view! {
        <p class="connection" role="status" data-state=attribute(move || Some(state().0.into()))>
            {live(Box::new(move || state().1.into()))}
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
