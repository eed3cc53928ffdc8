//! The answer to a form that was sent without WebAssembly, and refused.

use crate::error::DropError;
use leptos::{prelude::*, server_fn::error::ServerFnUrlError};
use leptos_router::hooks::use_query_map;

/// Shows the error that a plain form's redirect left in the query, until the visitor goes elsewhere.
#[component]
pub fn UrlNotice() -> impl IntoView {
    let query = use_query_map();
    let error = move || query.with(|query| query.get("__err"));
    move || {
        error().map(|error| {
            let error = ServerFnUrlError::<DropError>::decode_err(&error);
            view! { <p class="notice" role="alert">{error.to_string()}</p> }
        })
    }
}
