//! The page, and the contexts that it provides to all components: [`Route`], [`Toasts`], [`Store`] and
//! [`Actions`].

use crate::{
    client::clock::milliseconds_until,
    client::schedule::effect,
    client::socket,
    client::store::Store,
    client::toasts::Toasts,
    domain::{Snapshot, error::DropError},
    text,
    ui::actions::Actions,
    ui::components::{
        announcements::Announcements,
        header::{Footer, Header},
        new_version::NewVersion,
        toasts::ToastRegion,
        url_notice::UrlNotice,
    },
    ui::filter::Filter,
    ui::pages::{
        dashboard::Dashboard,
        drop::DropPage,
        server_page::{AsOf, ServerPage},
    },
    ui::router::{Page, Route},
};
use leptos::{either::EitherOf3, prelude::*};
use serde::{Deserialize, Serialize};

/// The data that a page is rendered from, first by the server and then by the browser when it hydrates the page.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FirstPaint {
    /// Path and query.
    pub address: String,
    /// The error of a form that was submitted without WebAssembly.
    pub notice: Option<String>,
    pub snapshot: Result<Snapshot, DropError>,
    /// The content of a page that only the server renders, as HTML; of the others the filters, if there is much to filter.
    pub content: Option<String>,
    /// The part of the dashboard that its address asks for: `live` or `upcoming`.
    pub show: Option<String>,
    /// The size that the dashboard's address asks for.
    pub wanted_size: Option<String>,
    /// The size that the visitor reserved or looked for last.
    pub size: Option<String>,
}

impl FirstPaint {
    /// Whether somebody is signed in.
    pub fn has_visitor(&self) -> bool {
        self.snapshot.as_ref().is_ok_and(|snapshot| snapshot.visitor.is_some())
    }
}

/// The id of the element that contains everything that [`App`] renders, apart from what extensions put into the body.
pub const ROOT: &str = "page";

/// The id of the page's main element.
pub const MAIN: &str = "main";

/// The id of the element that contains the page's [`FirstPaint`] as JSON.
pub const FIRST_PAINT: &str = "first-paint";

/// The page, in two parts that stand behind each other. The browser hydrates each in a task of its own, so that it can answer
/// in between.
pub struct App {
    route: Route,
    store: Store,
    actions: Actions,
    filter: Filter,
    notice: Option<String>,
    content: Option<String>,
}

impl App {
    /// Provides the contexts.
    pub fn new(first_paint: FirstPaint) -> Self {
        let FirstPaint { address, notice, snapshot, content, show, wanted_size, size } = first_paint;
        let filter = Filter::new(show, wanted_size);
        let route = Route::new(address);
        provide_context(route);
        let toasts = Toasts::new();
        provide_context(toasts);
        let store = Store::new(toasts, snapshot, size);
        provide_context(store);
        let actions = Actions::new(store);
        provide_context(actions);
        Self { route, store, actions, filter, notice, content }
    }

    /// What stands before [`MAIN`].
    pub fn top(&self) -> impl IntoView + use<> {
        view! {
            // The router ignores it: only the browser's own navigation moves focus.
            <a class="skip" href="#main">
                {text::SKIP}
            </a>
            <Header />
        }
    }

    /// [`MAIN`] and what stands behind it. When it is hydrated, the page is live.
    pub fn rest(self) -> impl IntoView {
        let Self { route, store, actions, filter, notice, content } = self;
        let content = RwSignal::new(content);
        // The documents of other pages have no filters, and their own content instead.
        let is_dashboard_known = match route.page.get_untracked() {
            Page::Dashboard => !filter.is_set(),
            Page::Drop(_) => true,
            _ => false,
        };
        let as_of = untrack(|| AsOf::now(store));
        effect(move || {
            route.start(store.toasts, move |page| match page {
                Page::Dashboard => is_dashboard_known,
                Page::Drop(id) => untrack(|| store.get(id)).is_some(),
                _ => false,
            });
            actions.start();
            store.clock.start(move || socket::probe(store));
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
            // The time of the pair that goes first, for those who look at another tab.
            let first_end = store.reservations.with(|held| held.iter().map(|held| *held.expires_at).min());
            let left = first_end.map(|end| text::countdown(milliseconds_until(end, store.clock.now())));
            let left = left.map(|left| format!("{left} · ")).unwrap_or_default();
            document().set_title(&(left + &page.title(name.as_deref())));
        });
        view! {
            <main id=MAIN tabindex="-1">
                <UrlNotice notice />
                <NewVersion />
                {move || match route.page.get() {
                    Page::Dashboard => EitherOf3::A(view! { <Dashboard filter filters=content.get_untracked() /> }),
                    Page::Drop(id) => EitherOf3::B(view! { <DropPage id /> }),
                    _ => EitherOf3::C(view! { <ServerPage content=content.get_untracked() as_of /> }),
                }}
            </main>
            <Footer />
            <Announcements />
            <ToastRegion />
        }
    }
}
