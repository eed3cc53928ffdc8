//! `/drops/{id}`: one drop with a longer list of purchasers, and what others see when its address is shared.

use super::not_found::NotFound;
use crate::{
    api,
    components::{
        drop_card::{DropCard, PurchaserRow},
        loaded::Loaded,
    },
    domain::SneakerDrop,
    live::Live,
    words,
};
use leptos::{either::Either, prelude::*};
use leptos_meta::{Meta, Title};
use leptos_router::hooks::use_params_map;

/// The page of the drop in the path.
#[component]
pub fn DropPage() -> impl IntoView {
    let params = use_params_map();
    let id = Memo::new(move |_| params.with(|params| params.get("id")?.parse::<i64>().ok()));
    view! {
        <Loaded>
            {move || {
                let live = expect_context::<Live>();
                match id.get().and_then(|id| live.get(id)) {
                    Some(drop) => Either::Left(view! { <OneDrop drop /> }),
                    None => Either::Right(NotFound()),
                }
            }}
        </Loaded>
    }
}

#[component]
fn OneDrop(drop: ArcRwSignal<SneakerDrop>) -> impl IntoView {
    let live = expect_context::<Live>();
    let SneakerDrop { id, name, price_cents, image_url, .. } = drop.get_untracked();
    let origin = live.origin.get_value();
    let description = words::drop_description(&name, price_cents);
    let url = format!("{origin}/drops/{id}");
    let share_image = share_image(&origin, image_url.as_deref());

    let listed = Resource::new(move || live.resyncs.get(), move |_| api::purchasers(id));
    let signal = RwSignal::from(drop.clone());
    let newest = Memo::new(move |_| signal.with(|drop| drop.latest_purchasers.clone()));
    view! {
        <Title text=name.clone() />
        <Meta name="description" content=description.clone() />
        <Meta property="og:type" content="product" />
        <Meta property="og:site_name" content=words::BRAND />
        <Meta property="og:title" content=name />
        <Meta property="og:description" content=description />
        <Meta property="og:url" content=url />
        <Meta property="og:image" content=share_image />
        <Meta name="twitter:card" content="summary_large_image" />
        <DropCard drop is_page=true />
        <section class="purchaser-list" aria-labelledby="purchasers">
            <h2 id="purchasers">{words::RECENT_PURCHASERS}</h2>
            <Transition fallback=|| ()>
                {move || Suspend::new(async move {
                    if let Ok(purchasers) = listed.await {
                        live.add_purchasers(id, purchasers);
                    }
                    view! {
                        <ol>
                            <For each=move || newest.get() key=|purchaser| purchaser.purchase_id let(purchaser)>
                                <PurchaserRow purchaser />
                            </For>
                        </ol>
                        <Show when=move || newest.with(Vec::is_empty)>
                            <p class="empty">{words::NOBODY_YET}</p>
                        </Show>
                    }
                })}
            </Transition>
        </section>
    }
}

/// The address of the picture for link previews. Ours have a PNG beside the SVG, as previews don't show SVG.
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
    fn previews_get_an_absolute_address_and_never_an_svg_of_ours() {
        let image = |url| share_image("https://shop.test", url);
        assert_eq!(image(Some("/shoes/halo-air.svg")), "https://shop.test/shoes/halo-air.png");
        assert_eq!(image(Some("https://cdn.test/a.webp")), "https://cdn.test/a.webp");
        assert_eq!(image(None), "https://shop.test/apple-touch-icon.png");
    }
}
