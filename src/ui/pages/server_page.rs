//! Pages whose content only the server renders: orders, past drops, unknown addresses. Their code and data are in no module
//! that browsers download.

use crate::{
    client::schedule::{after, effect},
    client::store::Store,
    text,
    ui::components::loaded::Loaded,
    ui::router::{Page, Route},
};
use leptos::prelude::*;

/// Loads the document anew when it shows somebody else's orders, or lacks the newest, or one was cancelled.
#[component]
pub fn ServerPage(
    /// HTML; `None` if the server had none to give.
    content: Option<String>,
    as_of: AsOf,
) -> impl IntoView {
    let store = expect_context::<Store>();
    let route = expect_context::<Route>();
    let has_content = content.is_some();
    effect(move || {
        let has_orders = matches!(route.page.get(), Page::Purchases | Page::Order(_));
        // Whether the browser keeps a session shows when the server says whom it takes the visitor for.
        let has_changed = has_orders && !store.has_just_signed_in.get() && AsOf::now(store) != as_of;
        if has_changed {
            reload();
        } else if !has_content && store.failure.with(Option::is_none) {
            // The database may not be back yet, and many pages may wait for it.
            after(RETRY_MS, reload).forget();
        }
    });
    // In a document that was rendered anew, or shows this page again.
    effect(text::localize);
    view! {
        <Loaded>
            <div class="loaded" inner_html=content.unwrap_or_default()></div>
        </Loaded>
    }
}

fn reload() {
    // Browsers refuse this only while the document is being replaced already.
    let _ = window().location().reload();
}

/// How long a page without content waits before it asks again.
const RETRY_MS: u32 = 5_000;

/// What a list of orders depends on.
#[derive(Clone, Copy, PartialEq)]
pub struct AsOf {
    user_id: Option<i64>,
    /// The sum of the purchases' ids: another one when something was bought or cancelled.
    purchases: i64,
}

impl AsOf {
    /// Subscribes to it.
    pub fn now(store: Store) -> Self {
        Self {
            user_id: store.user.with(|user| user.as_ref().map(|user| user.id)),
            purchases: store.purchases.with(|purchases| purchases.iter().map(|purchase| purchase.id).sum()),
        }
    }
}
