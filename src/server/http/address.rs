//! The one spelling of each address of this site, in requests and in redirects.

use axum::{
    extract::Request,
    http::HeaderValue,
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
};

/// Redirects to the one spelling of the requested address; the method and the body stay.
pub(crate) async fn canonical(request: Request, next: Next) -> Response {
    let address = request.uri().path_and_query().map_or("/", |address| address.as_str());
    let canonical = one_spelling(address);
    if canonical == address { next.run(request).await } else { Redirect::permanent(&canonical).into_response() }
}

/// The address that a `Location` names, on this site and without scheme and host: a proxy may be reached by others than it
/// reports.
pub(super) fn on_this_site(location: &HeaderValue) -> HeaderValue {
    let location = String::from_utf8_lossy(location.as_bytes());
    let is_absolute = ["http://", "https://"].iter().any(|scheme| location.starts_with(scheme));
    let path = if is_absolute { location.splitn(4, '/').nth(3).unwrap_or_default() } else { &location };
    HeaderValue::try_from(one_spelling(path)).unwrap_or(HeaderValue::from_static("/"))
}

/// Begins with one slash, has no empty segment and no slash at its end. Browsers take what begins with two slashes for
/// another host, read `\` as a slash and leave out tabs.
fn one_spelling(address: &str) -> String {
    let address: String = address.chars().filter(|character| !character.is_control()).collect();
    let (path, query) = address.split_at(address.find(['?', '#']).unwrap_or(address.len()));
    let segments = path.split(['/', '\\']).filter(|segment| !segment.is_empty());
    let path: String = segments.flat_map(|segment| ["/", segment]).collect();
    format!("{}{query}", if path.is_empty() { "/" } else { &path })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_spelling_and_names_no_other_host() {
        for (address, canonical) in [
            ("", "/"),
            ("/", "/"),
            ("/drops/1?size=US+9&a=//b", "/drops/1?size=US+9&a=//b"),
            ("/drops/1#order-2", "/drops/1#order-2"),
            ("/drops/1/", "/drops/1"),
            ("//", "/"),
            ("//?a", "/?a"),
            ("//evil.test?signed-in", "/evil.test?signed-in"),
            ("///evil.test//x//", "/evil.test/x"),
            ("/\\evil.test", "/evil.test"),
            ("\\/evil.test", "/evil.test"),
            ("/\t/evil.test", "/evil.test"),
            ("\t//evil.test", "/evil.test"),
            ("/.//evil.test", "/./evil.test"),
            ("evil.test", "/evil.test"),
            ("javascript:alert(1)", "/javascript:alert(1)"),
            ("/%2Fevil.test", "/%2Fevil.test"),
            ("/%5Cevil.test", "/%5Cevil.test"),
        ] {
            assert_eq!(one_spelling(address), canonical, "{address:?}");
        }
    }

    #[test]
    fn a_redirect_stays_on_this_site() {
        for (location, expected) in [
            ("/drops/1?a=https://b", "/drops/1?a=https://b"),
            ("http://shop.test:3000/drops/1?size=9", "/drops/1?size=9"),
            ("https://shop.test", "/"),
            ("https://shop.test//evil.test", "/evil.test"),
            ("//evil.test/x", "/evil.test/x"),
            ("ftp://evil.test", "/ftp:/evil.test"),
        ] {
            assert_eq!(on_this_site(&HeaderValue::from_static(location)), expected, "{location}");
        }
    }
}
