//! Content that needs a snapshot.

use crate::client::store::Store;
use leptos::{either::Either, prelude::*};

/// Renders its children once the [`Store`] has a snapshot. Until the socket receives one, shows why the server had
/// none.
#[component]
pub fn Loaded<C: IntoView + 'static>(
    /// Shows nothing instead of the reason, which the page's main content already shows.
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
