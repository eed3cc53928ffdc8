//! The error of a form that was submitted without WebAssembly.

use crate::ui::router::Route;
use leptos::prelude::*;

/// Shows `notice` until the visitor opens another address.
#[component]
pub fn UrlNotice(notice: Option<String>) -> impl IntoView {
    let route = expect_context::<Route>();
    let first_address = route.address.get_untracked();
    move || {
        let notice = notice.clone().filter(|_| route.address.with(|address| *address == first_address));
        notice.map(|notice| view! { <p class="notice" role="alert">{notice}</p> })
    }
}
