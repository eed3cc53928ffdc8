//! Content that needs a snapshot.

use super::live::{flag, live};
use crate::client::store::Store;
use leptos::prelude::*;

/// Hides its children until the [`Store`] has a snapshot, and shows why the server had none. Hidden and not left out, as
/// rendering them later would take as much code again.
#[component]
pub fn Loaded<C: IntoView + 'static>(
    /// Shows nothing instead of the reason, which the page's main content already shows.
    #[prop(optional)]
    is_aside: bool,
    children: TypedChildren<C>,
) -> impl IntoView {
    let store = expect_context::<Store>();
    let has_failed = move || store.failure.with(Option::is_some);
    let reason = move || store.failure.with(|error| error.as_ref().map(ToString::to_string).unwrap_or_default());
    view! {
        <div class="loaded" hidden=flag(has_failed)>
            {children.into_inner()()}
        </div>
        {(!is_aside)
            .then(|| {
                view! {
                    <p class="notice" role="alert" hidden=flag(move || !has_failed())>
                        {live(Box::new(reason))}
                    </p>
                }
            })}
    }
}
