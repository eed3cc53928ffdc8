//! The document, the routes, and what every component can ask for.

use crate::{
    actions::Actions,
    components::{
        header::{Footer, Header},
        toasts::{ToastRegion, Toasts},
        url_notice::UrlNotice,
    },
    live::Live,
    pages::{dashboard::Dashboard, drop::DropPage, not_found::NotFound, purchases::Purchases},
    words,
};
use leptos::prelude::*;
use leptos_meta::{HashedStylesheet, MetaTags, Title, provide_meta_context};
use leptos_router::{
    SsrMode,
    components::{Route, Router, Routes},
    path,
};

/// The HTML document around [`App`].
pub fn shell(options: LeptosOptions) -> impl IntoView {
    view! {
        <!DOCTYPE html>
        <html lang="en">
            <head>
                <meta charset="utf-8" />
                <meta name="viewport" content="width=device-width, initial-scale=1" />
                <meta name="color-scheme" content="light dark" />
                <meta name="theme-color" content="#f5f3ee" media="(prefers-color-scheme: light)" />
                <meta name="theme-color" content="#0e0e10" media="(prefers-color-scheme: dark)" />
                <link rel="preload" href="/fonts/archivo-latin.woff2" r#as="font" r#type="font/woff2" crossorigin="" />
                <link rel="icon" href="/favicon.svg" r#type="image/svg+xml" />
                <link rel="icon" href="/favicon.ico" sizes="32x32" />
                <link rel="apple-touch-icon" href="/apple-touch-icon.png" />
                <HashedStylesheet options=options.clone() id="sneakdrop" />
                <AutoReload options=options.clone() />
                <HydrationScripts options />
                <MetaTags />
            </head>
            <body>
                <App />
            </body>
        </html>
    }
}

/// The application.
#[component]
pub fn App() -> impl IntoView {
    provide_meta_context();
    let toasts = Toasts::new();
    provide_context(toasts);
    let live = Live::new(toasts);
    provide_context(live);
    Effect::new(move || {
        live.start();
        if let Some(html) = document().document_element() {
            // Buttons work before this, as plain forms; from here on they answer in place.
            let _ = html.set_attribute("data-hydrated", "");
        }
    });
    let actions = Actions::new(live);
    provide_context(actions);
    Effect::new(move || actions.lapse());

    view! {
        <Title text=words::BRAND formatter=|title: String| {
            if title == words::BRAND { title } else { format!("{title} · {}", words::BRAND) }
        } />
        <Router>
            // Left to the browser, which moves focus too.
            <a class="skip" href="#main" rel="external">
                {words::SKIP}
            </a>
            <Header />
            <main id="main" tabindex="-1">
                <UrlNotice />
                <Routes fallback=NotFound>
                    <Route path=path!("/") view=Dashboard ssr=SsrMode::Async />
                    <Route path=path!("/drops/:id") view=DropPage ssr=SsrMode::Async />
                    <Route path=path!("/purchases") view=Purchases ssr=SsrMode::Async />
                </Routes>
            </main>
            <Footer />
            <ToastRegion />
        </Router>
    }
}
