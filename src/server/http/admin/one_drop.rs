//! What pages about one drop have in common.

use leptos::prelude::*;

/// The drop's name, which leads back to it, and what the page shows of it. `id` is the heading's, for what it labels.
pub(super) fn heading_of_drop(
    drop_id: i64,
    name: &str,
    id: &'static str,
    title: &'static str,
) -> impl IntoView + use<> {
    view! {
        <hgroup class="of-drop">
            <p>
                <a href=format!("/admin/drops/{drop_id}")>
                    <bdi>{name.to_owned()}</bdi>
                </a>
            </p>
            <h1 id=id>{title}</h1>
        </hgroup>
    }
}
