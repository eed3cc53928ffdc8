//! Waits for the first snapshot.

use crate::{live::Live, words};
use leptos::{either::Either, prelude::*};

/// Renders its children once the page's snapshot is in [`Live`]. Says so when it cannot be had, until the socket brings
/// another.
#[component]
pub fn Loaded(
    /// Whether this is beside the page's main content, which does the talking.
    #[prop(optional)]
    is_aside: bool,
    children: ChildrenFn,
) -> impl IntoView {
    let live = expect_context::<Live>();
    let children = StoredValue::new(children);
    let loading = move || (!is_aside).then(|| view! { <p class="loading">{words::LOADING}</p> });
    view! {
        <Suspense fallback=loading>
            {move || Suspend::new(async move {
                match live.first.await {
                    Ok(snapshot) => {
                        live.load(&snapshot);
                        Either::Left(children.with_value(|children| children()))
                    }
                    Err(error) => {
                        let alert = (!is_aside).then(|| error.to_string());
                        Either::Right(move || match live.is_loaded.get() {
                            true => Either::Left(children.with_value(|children| children())),
                            false => {
                                Either::Right(
                                    alert.clone().map(|alert| view! { <p class="notice" role="alert">{alert}</p> }),
                                )
                            }
                        })
                    }
                }
            })}
        </Suspense>
    }
}
