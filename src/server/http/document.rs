//! The HTML document around [`App`], which only the server renders.

use crate::{
    domain::SneakerDrop,
    server::package::Package,
    text,
    ui::app::{App, FIRST_PAINT, FirstPaint, ROOT},
    ui::router::Page,
};
use leptos::{either::EitherOf3, html, prelude::*};

pub(crate) fn shell(
    options: LeptosOptions,
    package: &Package,
    first_paint: FirstPaint,
    nonce: String,
    hold_seconds: u64,
    refresh: Option<String>,
) -> impl IntoView + use<> {
    // `</script>` in a string would end the element; JSON allows the escape.
    let data = serde_json::to_string(&first_paint).unwrap_or_default().replace('<', "\\u003c");
    let head = view! { <Head first_paint=first_paint.clone() hold_seconds /> };
    let app = App::new(first_paint);
    let page = (app.top(), app.rest()).to_html();
    let load = load(package, nonce.clone(), shape(&page));
    let (script, local_times) = (include_str!("document.js"), LOCAL_TIMES);
    view! {
        <!DOCTYPE html>
        <html lang="en">
            {document_head(
                view! {
                    <AutoReload options />
                    <script nonce=nonce.clone() inner_html=script />
                    {load}
                    {head}
                    {refresh
                        .map(|refresh| view! { <noscript><meta http-equiv="refresh" content=refresh /></noscript> })}
                },
            )}
            <body>
                <div id=ROOT inner_html=page></div>
                <script nonce=nonce.clone() inner_html=local_times />
                <p id=HYDRATION_FAILURE class="notice" role="status" hidden>
                    {text::NOT_LIVE}
                </p>
                <script id=FIRST_PAINT r#type="application/json" nonce=nonce inner_html=data />
            </body>
        </html>
    }
}

/// The head of every document, also of the desk's, with what is added for one of them.
pub(super) fn document_head(added: impl IntoView) -> impl IntoView {
    view! {
        <head>
            <meta charset="utf-8" />
            <meta name="viewport" content="width=device-width, initial-scale=1" />
            <meta name="color-scheme" content="light dark" />
            <meta name="theme-color" content="#f5f3ee" media="(prefers-color-scheme: light)" />
            <meta name="theme-color" content="#0e0e10" media="(prefers-color-scheme: dark)" />
            <link rel="preload" href="/fonts/archivo-latin.8f704806.woff2" r#as="font" r#type="font/woff2" crossorigin="" />
            <link rel="icon" href="/favicon.svg" r#type="image/svg+xml" />
            <link rel="icon" href="/favicon.ico" sizes="32x32" />
            <link rel="apple-touch-icon" href="/apple-touch-icon.png" />
            {added}
        </head>
    }
}

/// Puts the times of the page into the visitor's zone before it is shown, see `document.js`.
const LOCAL_TIMES: &str = "localTimes()";

/// Loads the style sheet and the compiled page. Leptos's `HydrationScripts` ignores every error, and reads the file of
/// hashes on each request.
fn load(package: &Package, nonce: String, shape: i32) -> impl IntoView + use<> {
    let Package { style_sheet, script, wasm, .. } = package;
    let load = include_str!("load_module.js").trim_end();
    let load = format!("{load}({script:?}, {wasm:?}, {shape}, {ROOT:?}, {HYDRATION_FAILURE:?}, {:?})", text::OFFLINE);
    view! {
        <link rel="stylesheet" href=style_sheet.clone() />
        <script r#type="module" data-page=script.clone() nonce=nonce inner_html=load />
    }
}

/// What must be the same for a document to be hydrated: a checksum of where its tags and texts are. `load_module.js` computes the
/// same of what it finds.
fn shape(html: &str) -> i32 {
    let bytes = html.as_bytes();
    html.match_indices('<').fold(0, |sum: i32, (at, _)| {
        let follows_text = at > 0 && bytes[at - 1] != b'>';
        let mark = i32::from(bytes.get(at + 1).copied().unwrap_or_default());
        sum.wrapping_mul(31).wrapping_add(if follows_text { -mark } else { mark })
    })
}

/// The id of the element that [`load`] shows after a failure.
const HYDRATION_FAILURE: &str = "hydration-failure";

/// The page's title and description, and its link preview.
#[component]
fn Head(
    first_paint: FirstPaint,
    /// How long a pair is held.
    hold_seconds: u64,
) -> impl IntoView {
    let FirstPaint { address, snapshot, .. } = first_paint;
    let page = Page::at(&address);
    let (origin, drops) = snapshot.map(|snapshot| (snapshot.origin, snapshot.drops)).unwrap_or_default();
    let drop = drops.into_iter().find(|drop| page == Page::Drop(drop.id));
    let title = page.title(drop.as_ref().map(|drop| &*drop.name));
    let about = match (page, drop) {
        (Page::Dashboard | Page::PastDrops | Page::Purchases | Page::Order(_), _) => {
            EitherOf3::A(view! { <meta name="description" content=text::description(hold_seconds) /> })
        }
        (_, Some(drop)) => EitherOf3::B(view! { <About drop origin hold_seconds /> }),
        _ => EitherOf3::C(()),
    };
    view! {
        <title>{title}</title>
        {about}
    }
}

#[component]
fn About(drop: SneakerDrop, origin: String, hold_seconds: u64) -> impl IntoView {
    let SneakerDrop { id, name, price_cents, image_url, .. } = drop;
    let description = text::drop_description(&name, price_cents, hold_seconds);
    let url = format!("{origin}/drops/{id}");
    let share_image = share_image(&origin, image_url.as_deref());
    view! {
        <meta name="description" content=description.clone() />
        {property("og:type", "product".into())}
        {property("og:site_name", text::BRAND.into())}
        {property("og:title", name)}
        {property("og:description", description)}
        {property("og:url", url)}
        {property("og:image", share_image)}
        <meta name="twitter:card" content="summary_large_image" />
    }
}

/// A `<meta>` of the Open Graph protocol, whose attribute HTML does not know.
fn property(name: &'static str, content: String) -> impl IntoView {
    html::meta().attr("property", name).content(content)
}

/// The picture for link previews. Pictures of this site have a PNG beside the SVG, as previews don't show SVG.
fn share_image(origin: &str, image_url: Option<&str>) -> String {
    match image_url {
        Some(url) if url.starts_with('/') => match url.strip_suffix(".svg") {
            Some(stem) => format!("{origin}{stem}.png"),
            None => format!("{origin}{url}"),
        },
        Some(url) => url.into(),
        None => format!("{origin}/apple-touch-icon.png"),
    }
}

#[cfg(test)]
mod tests {
    use super::share_image;

    #[test]
    fn previews_get_an_absolute_address_and_no_svg_of_this_site() {
        let image = |url| share_image("https://shop.test", url);
        assert_eq!(image(Some("/shoes/halo-air.a62842e5.svg")), "https://shop.test/shoes/halo-air.a62842e5.png");
        assert_eq!(image(Some("https://cdn.test/a.webp")), "https://cdn.test/a.webp");
        assert_eq!(image(None), "https://shop.test/apple-touch-icon.png");
    }
}
