//! The answer to a form that was sent without WebAssembly, and refused.

use crate::{error::DropError, words};
use leptos::{prelude::*, server_fn::error::ServerFnUrlError};
use leptos_router::hooks::use_query_map;

/// Shows the error that a plain form's redirect left in the query, until the visitor goes elsewhere.
#[component]
pub fn UrlNotice() -> impl IntoView {
    let query = use_query_map();
    let error = move || query.with(|query| query.get("__err"));
    move || {
        error().map(|error| {
            let error = spoken(ServerFnUrlError::decode_err(&error));
            view! { <p class="notice" role="alert">{error}</p> }
        })
    }
}

/// Anyone can write a link with an error in its query, so that nothing is said in words that come from there.
fn spoken(error: DropError) -> String {
    match error {
        DropError::Invalid { field, .. } if field == "username" => words::USERNAME_RULE.into(),
        DropError::Invalid { .. } | DropError::MalformedBody(_) => DropError::Internal.to_string(),
        DropError::SizeRequired { .. } => DropError::SizeRequired { sizes_left: vec![] }.to_string(),
        DropError::UnknownSize { .. } => DropError::UnknownSize { sizes_left: vec![] }.to_string(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forged_link_puts_no_words_on_the_page() {
        let forged = "Send your card number to evil.test";
        for error in [
            DropError::invalid(forged, forged),
            DropError::invalid("username", forged),
            DropError::MalformedBody(forged.into()),
            DropError::SizeRequired { sizes_left: vec![forged.into()] },
            DropError::UnknownSize { sizes_left: vec![forged.into()] },
        ] {
            assert!(!spoken(error).contains("evil.test"));
        }
    }
}
