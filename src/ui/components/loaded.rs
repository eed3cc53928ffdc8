//! Waits for the first snapshot.

use crate::client::store::Store;
use leptos::{either::Either, prelude::*};

/// Renders its children once there is a snapshot in [`Store`]; until the socket brings one, says why there is none.
#[component]
pub fn Loaded<C: IntoView + 'static>(
    /// Whether this is beside the page's main content, which does the talking.
    #[prop(optional)]
    is_aside: bool,
    children: TypedChildrenFn<C>,
) -> impl IntoView {
    let store = expect_context::<Store>();
    let children = children.into_inner();
    move || match store.failure.get() {
        None => Either::Left(children()),
        Some(error) => {
            Either::Right((!is_aside).then(|| view! { <p class="notice" role="alert">{error.to_string()}</p> }))
        }
    }
}
