//! Waits for the first snapshot.

use crate::{live::Live, words};
use leptos::{either::Either, prelude::*};

/// Renders its children once the page's snapshot is in [`Live`]; says so when it cannot be had.
#[component]
pub fn Loaded(children: ChildrenFn) -> impl IntoView {
    let live = expect_context::<Live>();
    let children = StoredValue::new(children);
    view! {
        <Suspense fallback=|| view! { <p class="loading">{words::LOADING}</p> }>
            {move || Suspend::new(async move {
                match live.first.await {
                    Ok(snapshot) => {
                        live.load(&snapshot);
                        Either::Left(children.with_value(|children| children()))
                    }
                    Err(error) => {
                        Either::Right(view! { <p class="notice" role="alert">{error.to_string()}</p> })
                    }
                }
            })}
        </Suspense>
    }
}
