//! What pages about one drop have in common.

use leptos::prelude::*;

/// The drop's name, which leads back to it, and what the page shows of it. `id` is the heading's, for what it labels; `address`
/// the page's, which follows what is stored.
pub(super) fn heading_of_drop(
    drop_id: i64,
    name: &str,
    id: &'static str,
    title: &'static str,
    address: String,
) -> impl IntoView + use<> {
    view! {
        <hgroup class="of-drop" data-follow=drop_id data-address=address>
            <p>
                <a href=format!("/admin/drops/{drop_id}")>
                    <bdi>{name.to_owned()}</bdi>
                </a>
            </p>
            <h1 id=id>{title}</h1>
        </hgroup>
    }
}
