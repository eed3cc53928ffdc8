//! Maps addresses to pages and follows links without reloading the document.
//!
//! Links are plain `<a>` elements. A click on one to another page of this site changes the page in place, so that the
//! socket and the [`Store`](crate::client::store::Store) are kept. `leptos_router` would do this. Together with
//! Leptos's `ActionForm` and `Suspense` it added 146,088 bytes to the module that the browser downloads (brotli).

use crate::{
    client::forms::is_reachable,
    client::listen::listen,
    client::schedule::next_frame,
    client::toasts::Toasts,
    domain::{error::DropError, read_id},
    text,
    ui::engagement::{closest, focus},
};
use leptos::{prelude::*, task::spawn_local};
use std::fmt;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Event, HtmlAnchorElement, HtmlFormElement, MouseEvent};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    Dashboard,
    /// Of a drop that may not exist.
    Drop(i64),
    PastDrops,
    Purchases,
    /// One of the visitor's orders, if it is theirs.
    Order(i64),
    /// Any other address.
    NotFound,
}

impl fmt::Display for Page {
    /// The page's path. That of [`Page::NotFound`] is any that no other page has.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dashboard => f.write_str("/"),
            Self::Drop(id) => write!(f, "/drops/{id}"),
            Self::PastDrops => f.write_str("/drops/past"),
            Self::Purchases => f.write_str("/purchases"),
            Self::Order(id) => write!(f, "/purchases/{id}"),
            Self::NotFound => f.write_str("/404"),
        }
    }
}

impl Page {
    /// The page at an address, whose query is ignored.
    pub fn at(address: &str) -> Self {
        let path = address.split('?').next().unwrap_or_default();
        match path {
            "/" => Self::Dashboard,
            "/purchases" => Self::Purchases,
            "/drops/past" => Self::PastDrops,
            _ => {
                let id = |prefix| path.strip_prefix(prefix).and_then(read_id);
                id("/drops/").map(Self::Drop).or_else(|| id("/purchases/").map(Self::Order)).unwrap_or(Self::NotFound)
            }
        }
    }

    /// The document's title. `drop_name` is the name of the page's drop, if it exists.
    pub fn title(self, drop_name: Option<&str>) -> String {
        match (self, drop_name) {
            (Self::Dashboard, _) => text::BRAND.into(),
            (Self::Drop(_), Some(name)) => text::page_title(name),
            (Self::PastDrops, _) => text::page_title(text::PAST_DROPS),
            (Self::Purchases | Self::Order(_), _) => text::page_title(text::MY_PURCHASES),
            (Self::Drop(_) | Self::NotFound, _) => text::page_title(text::NOT_FOUND),
        }
    }
}

/// The current address and page. Created once, with the page.
#[derive(Clone, Copy)]
pub struct Route {
    /// Path and query.
    pub address: RwSignal<String>,
    pub page: Memo<Page>,
}

impl Route {
    pub fn new(address: String) -> Self {
        let address = RwSignal::new(address);
        Self { address, page: Memo::new(move |_| address.with(|address| Page::at(address))) }
    }

    /// Follows links, to pages that `is_known` in this document and to others, and the browser's back and forward buttons. Only
    /// in the browser, after hydration.
    pub fn start(self, toasts: Toasts, is_known: impl Fn(Page) -> bool + 'static) {
        listen("click", move |event| {
            if let Some(link) = link_to_follow(&event) {
                event.prevent_default();
                let href = link.href();
                if is_known(Page::at(&link.pathname())) {
                    self.navigate(&href);
                } else {
                    // Fails for no address of this site.
                    leave(toasts, Box::new(move || drop(window().location().assign(&href))));
                }
            }
        });
        listen("submit", move |event| {
            let form = event.target().and_then(|form| form.dyn_into::<HtmlFormElement>().ok());
            if let Some(form) = form.filter(|form| form.method() == "get") {
                event.prevent_default();
                // Fails for no form of a document.
                leave(toasts, Box::new(move || drop(form.submit())));
            }
        });
        listen("popstate", move |_| self.read_location());
    }

    fn navigate(self, href: &str) {
        let window = window();
        if window.location().href().is_ok_and(|current| current != href)
            && let Ok(history) = window.history()
        {
            // Browsers refuse this only after hundreds of calls a minute.
            let _ = history.push_state_with_url(&JsValue::NULL, "", Some(href));
        }
        self.read_location();
        window.scroll_to_with_x_and_y(0.0, 0.0);
    }

    fn read_location(self) {
        let location = window().location();
        let address = location.pathname().unwrap_or_default() + &location.search().unwrap_or_default();
        // Browsers report a link to a fragment as well.
        if self.address.with_untracked(|known| *known != address) {
            self.address.set(address);
            // Screen readers announce a new page by its heading.
            next_frame(|| focus(document().query_selector("main h1").ok().flatten()));
        }
    }
}

/// Has another document loaded if the server can be reached, and otherwise says that it cannot: the browser's page for errors would
/// take the place of this one, and of the countdown of a held pair.
fn leave(toasts: Toasts, load: Box<dyn FnOnce()>) {
    spawn_local(async move {
        if is_reachable().await {
            load();
        } else {
            toasts.error(DropError::Unreachable.to_string());
        }
    });
}

/// The clicked link, if it leads to another document of this site, in the place of this one.
fn link_to_follow(event: &Event) -> Option<HtmlAnchorElement> {
    let event: &MouseEvent = event.unchecked_ref();
    let has_modifier = event.meta_key() || event.alt_key() || event.ctrl_key() || event.shift_key();
    if event.default_prevented() || event.button() != 0 || has_modifier {
        return None;
    }
    let link = closest(event.target(), "a[href]:not([download])")?.dyn_into::<HtmlAnchorElement>().ok()?;
    let is_same_origin = window().location().origin().is_ok_and(|origin| origin == link.origin());
    // A link to a fragment is left to the browser, which also moves focus there.
    (is_same_origin && link.hash().is_empty()).then_some(link)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_maps_to_its_page_regardless_of_the_query() {
        assert_eq!(Page::at("/"), Page::Dashboard);
        assert_eq!(Page::at("/?__err=x"), Page::Dashboard);
        assert_eq!(Page::at("/drops/12?a=/purchases"), Page::Drop(12));
        assert_eq!(Page::at("/purchases"), Page::Purchases);
        for page in [Page::Dashboard, Page::Drop(12), Page::PastDrops, Page::Purchases, Page::Order(12), Page::NotFound]
        {
            assert_eq!(Page::at(&page.to_string()), page);
        }
        for unknown in [
            "",
            "/drops/",
            "/drops/x",
            "/drops/1/2",
            "/drops/+1",
            "/drops/01",
            "/purchases/",
            "/purchases/-1",
            "/nowhere",
        ] {
            assert_eq!(Page::at(unknown), Page::NotFound, "{unknown}");
        }
    }
}
