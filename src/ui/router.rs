//! Which page an address leads to, and going there without leaving the document.
//!
//! Links are plain links. In the browser a click on one that leads to a page of ours changes the page in place, so that
//! the socket and everything in [`Store`](crate::client::store::Store) stay.

use crate::text;
use leptos::{ev, prelude::*};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Element, HtmlAnchorElement, MouseEvent};

/// A page of the shop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// `/`
    Dashboard,
    /// `/drops/{id}`; whether there is such a drop is another question.
    Drop(i64),
    /// `/purchases`
    Purchases,
    /// Any other address.
    Nowhere,
}

impl Page {
    /// The page at an address; its query does not matter.
    pub fn at(address: &str) -> Self {
        let path = address.split('?').next().unwrap_or_default();
        match path {
            "/" => Self::Dashboard,
            "/purchases" => Self::Purchases,
            _ => match path.strip_prefix("/drops/").and_then(|id| id.parse().ok()) {
                Some(id) => Self::Drop(id),
                None => Self::Nowhere,
            },
        }
    }
}

impl Page {
    /// The document's title; `drop_name` is the name of the page's drop, if there is such a drop.
    pub fn title(self, drop_name: Option<&str>) -> String {
        match (self, drop_name) {
            (Self::Dashboard, _) => text::BRAND.into(),
            (Self::Drop(_), Some(name)) => text::page_title(name),
            (Self::Purchases, _) => text::page_title(text::MY_PURCHASES),
            (Self::Drop(_) | Self::Nowhere, _) => text::page_title(text::NOT_FOUND),
        }
    }
}

/// Where the visitor is.
#[derive(Clone, Copy)]
pub struct Route {
    /// Path and query.
    pub address: RwSignal<String>,
    /// The page to show.
    pub page: Memo<Page>,
}

impl Route {
    /// At the address that the server was asked for.
    pub fn new(address: String) -> Self {
        let address = RwSignal::new(address);
        Self { address, page: Memo::new(move |_| address.with(|address| Page::at(address))) }
    }

    /// Follows links, and the browser's own way back and forth; only in the browser, once the page is there.
    pub fn start(self) {
        window_event_listener(ev::click, move |event| {
            if let Some(href) = followed(&event) {
                event.prevent_default();
                self.go(&href);
            }
        });
        window_event_listener(ev::popstate, move |_| self.arrive());
    }

    fn go(self, href: &str) {
        let window = window();
        if window.location().href().is_ok_and(|here| here != href)
            && let Ok(history) = window.history()
        {
            // Browsers refuse this only to who does it hundreds of times a minute.
            let _ = history.push_state_with_url(&JsValue::NULL, "", Some(href));
        }
        self.arrive();
        window.scroll_to_with_x_and_y(0.0, 0.0);
    }

    fn arrive(self) {
        let location = window().location();
        self.address.set(location.pathname().unwrap_or_default() + &location.search().unwrap_or_default());
    }
}

/// The address of the link that was clicked, if it is for this document to follow.
fn followed(event: &MouseEvent) -> Option<String> {
    let has_modifier = event.meta_key() || event.alt_key() || event.ctrl_key() || event.shift_key();
    if event.default_prevented() || event.button() != 0 || has_modifier {
        return None;
    }
    let link = event.target()?.dyn_into::<Element>().ok()?.closest("a[href]").ok()??;
    let link = link.dyn_into::<HtmlAnchorElement>().ok()?;
    let is_ours = window().location().origin().is_ok_and(|origin| origin == link.origin());
    // A place within a document is the browser's to find: it moves focus, too.
    let is_page = link.hash().is_empty() && Page::at(&link.pathname()) != Page::Nowhere;
    (is_ours && is_page).then(|| link.href())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_leads_to_its_page_whatever_its_query() {
        assert_eq!(Page::at("/"), Page::Dashboard);
        assert_eq!(Page::at("/?__err=x"), Page::Dashboard);
        assert_eq!(Page::at("/drops/12?a=/purchases"), Page::Drop(12));
        assert_eq!(Page::at("/purchases"), Page::Purchases);
        for nowhere in ["", "/drops/", "/drops/x", "/drops/1/2", "/purchases/", "/nowhere"] {
            assert_eq!(Page::at(nowhere), Page::Nowhere, "{nowhere}");
        }
    }
}
