//! The root component, and the contexts that it provides to all others: [`Route`], [`Toasts`], [`Store`] and
//! [`Actions`].

use crate::{
    client::schedule::effect,
    client::socket,
    client::store::Store,
    client::toasts::Toasts,
    domain::{List, Snapshot, error::DropError},
    text,
    ui::actions::Actions,
    ui::components::{
        header::{Footer, Header},
        new_version::NewVersion,
        openings::Openings,
        toasts::ToastRegion,
        url_notice::UrlNotice,
    },
    ui::pages::{
        dashboard::Dashboard, drop::DropPage, not_found::NotFound, past_drops::PastDrops, purchases::Purchases,
    },
    ui::router::{Page, Route},
};
use leptos::{either::EitherOf5, prelude::*};
use serde::{Deserialize, Serialize};

/// The data that a page is rendered from, first by the server and then by the browser when it hydrates the page.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FirstPaint {
    /// Path and query.
    pub address: String,
    /// The error of a form that was submitted without WebAssembly.
    pub notice: Option<String>,
    pub snapshot: Result<Snapshot, DropError>,
}

impl FirstPaint {
    /// Whether somebody is signed in.
    pub fn has_visitor(&self) -> bool {
        self.snapshot.as_ref().is_ok_and(|snapshot| snapshot.visitor.is_some())
    }
}

/// What the page lists that this document was rendered for.
#[derive(Clone, Copy)]
pub struct FirstList {
    list: StoredValue<Option<List>>,
    address: StoredValue<String>,
}

impl FirstList {
    /// The list, if this is that page.
    pub fn get(self) -> Option<List> {
        let route = expect_context::<Route>();
        let is_its_page = route.address.with_untracked(|address| self.address.with_value(|first| first == address));
        self.list.get_value().filter(|_| is_its_page)
    }
}

/// The id of the element that contains everything that [`App`] renders, apart from what extensions put into the body.
pub const ROOT: &str = "page";

/// The id of the element that contains the page's [`FirstPaint`] as JSON.
pub const FIRST_PAINT: &str = "first-paint";

#[component]
pub fn App(first_paint: FirstPaint) -> impl IntoView {
    let FirstPaint { address, notice, snapshot } = first_paint;
    let route = Route::new(address);
    provide_context(route);
    let toasts = Toasts::new();
    provide_context(toasts);
    let list = snapshot.as_ref().ok().and_then(|snapshot| snapshot.list.clone());
    provide_context(FirstList {
        list: StoredValue::new(list),
        address: StoredValue::new(route.address.get_untracked()),
    });
    let store = Store::new(toasts, snapshot);
    provide_context(store);
    let actions = Actions::new(store);
    provide_context(actions);
    effect(move || {
        route.start(move |page| match page {
            // The document of an unknown address has no drops.
            Page::Dashboard => route.page.get_untracked() != Page::NotFound,
            Page::Drop(id) => untrack(|| store.get(id)).is_some(),
            // The pages of its list have the same path.
            Page::Purchases => route.page.get_untracked() != Page::Purchases,
            Page::PastDrops | Page::NotFound => false,
        });
        actions.start();
        store.clock.start(socket::probe);
        socket::start(store);
        if let Some(html) = document().document_element() {
            // From here on a form is posted without leaving the page; before, the browser submits it.
            let _ = html.set_attribute("data-hydrated", "");
        }
    });
    effect(move || actions.expire());
    effect(move || {
        let page = route.page.get();
        let drop = if let Page::Drop(id) = page { store.get(id) } else { None };
        let name = drop.map(|drop| drop.with(|drop| drop.name.clone()));
        document().set_title(&page.title(name.as_deref()));
    });

    view! {
        // The router ignores it: only the browser's own navigation moves focus.
        <a class="skip" href="#main">
            {text::SKIP}
        </a>
        <Header />
        <main id="main" tabindex="-1">
            <UrlNotice notice />
            <NewVersion />
            {move || match route.page.get() {
                Page::Dashboard => EitherOf5::A(Dashboard()),
                Page::Drop(id) => EitherOf5::B(view! { <DropPage id /> }),
                Page::PastDrops => EitherOf5::C(PastDrops()),
                Page::Purchases => EitherOf5::D(Purchases()),
                Page::NotFound => EitherOf5::E(NotFound()),
            }}
        </main>
        <Footer />
        <Openings />
        <ToastRegion />
    }
}
