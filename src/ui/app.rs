//! The application, and what every component can ask for.

use crate::{
    client::store::Store,
    domain::Snapshot,
    domain::error::DropError,
    text,
    ui::actions::Actions,
    ui::components::{
        header::{Footer, Header},
        toasts::{ToastRegion, Toasts},
        url_notice::UrlNotice,
    },
    ui::pages::{dashboard::Dashboard, drop::DropPage, not_found::NotFound, purchases::Purchases},
    ui::router::{Page, Route},
};
use leptos::{either::EitherOf4, prelude::*};
use serde::{Deserialize, Serialize};

/// What a page is rendered from: by the server, and again in the browser.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FirstPaint {
    /// Path and query.
    pub address: String,
    /// Why a form was refused that was sent without WebAssembly.
    pub notice: Option<String>,
    /// What is true in the shop.
    pub snapshot: Result<Snapshot, DropError>,
}

/// The id of the element in which the server sends a page's [`FirstPaint`] along.
pub const FIRST_PAINT: &str = "first-paint";

/// The application.
#[component]
pub fn App(
    /// What is shown at first.
    first_paint: FirstPaint,
) -> impl IntoView {
    let FirstPaint { address, notice, snapshot } = first_paint;
    let route = Route::new(address);
    provide_context(route);
    let toasts = Toasts::new();
    provide_context(toasts);
    let store = Store::new(toasts, snapshot);
    provide_context(store);
    let actions = Actions::new(store);
    provide_context(actions);
    Effect::new(move || {
        route.start();
        store.start();
        if let Some(html) = document().document_element() {
            // Buttons work before this, as plain forms; from here on they answer in place.
            let _ = html.set_attribute("data-hydrated", "");
        }
    });
    Effect::new(move || actions.expire());
    Effect::new(move || {
        let page = route.page.get();
        let drop = if let Page::Drop(id) = page { store.get(id) } else { None };
        let name = drop.map(|drop| drop.with_untracked(|drop| drop.name.clone()));
        document().set_title(&page.title(name.as_deref()));
    });

    view! {
        // Left to the browser, which moves focus too.
        <a class="skip" href="#main">
            {text::SKIP}
        </a>
        <Header />
        <main id="main" tabindex="-1">
            <UrlNotice notice />
            {move || match route.page.get() {
                Page::Dashboard => EitherOf4::A(Dashboard()),
                Page::Drop(id) => EitherOf4::B(view! { <DropPage id /> }),
                Page::Purchases => EitherOf4::C(Purchases()),
                Page::Nowhere => EitherOf4::D(NotFound()),
            }}
        </main>
        <Footer />
        <ToastRegion />
    }
}
