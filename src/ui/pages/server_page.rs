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

/// Loads the document anew when it shows somebody else's orders, or lacks the newest.
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
        let has_changed = has_orders && !store.has_just_signed_in.get() && AsOf::now(store).is_newer_than(as_of);
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
#[derive(Clone, Copy)]
pub struct AsOf {
    user_id: Option<i64>,
    newest_purchase: i64,
}

impl AsOf {
    /// Subscribes to it.
    pub fn now(store: Store) -> Self {
        Self {
            user_id: store.user.with(|user| user.as_ref().map(|user| user.id)),
            newest_purchase: store.purchases.with(|purchases| purchases.first().map_or(0, |newest| newest.id)),
        }
    }

    fn is_newer_than(self, other: Self) -> bool {
        self.user_id != other.user_id || self.newest_purchase > other.newest_purchase
    }
}
