//! Where a request comes from, and under which address the site is seen.

use axum::http::{HeaderMap, header};

/// Whether a request that changes something, or opens a socket, comes from a page of this site. Browsers always send
/// `Origin` with such requests; other programs may leave it out.
pub(crate) fn is_same_origin(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    matches!((origin, host), (Some((_, origin)), Some(host)) if origin.eq_ignore_ascii_case(host))
}

/// Scheme and host under which the caller reached this site.
pub(crate) fn origin(headers: &HeaderMap) -> String {
    let scheme = if is_https(headers) { "https" } else { "http" };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    format!("{scheme}://{host}")
}

/// Whether the request follows a link or a form on a page of this site.
pub(crate) fn is_referred_by_this_site(headers: &HeaderMap) -> bool {
    let referer = headers.get(header::REFERER).and_then(|referer| referer.to_str().ok());
    referer.is_some_and(|referer| referer.strip_prefix(&origin(headers)).is_some_and(|path| path.starts_with('/')))
}

/// As the reverse proxy reports it; this server does not terminate TLS.
pub(crate) fn is_https(headers: &HeaderMap) -> bool {
    headers.get("x-forwarded-proto").is_some_and(|scheme| scheme == "https")
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn only_pages_of_this_host_have_the_same_origin() {
        let headers = |origin: &'static str| {
            let mut headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static("shop.test:3000"))]);
            headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
            headers
        };
        assert!(is_same_origin(&headers("http://shop.test:3000")));
        assert!(is_same_origin(&headers("https://SHOP.test:3000")));
        for foreign in ["http://evil.test", "http://shop.test", "http://shop.test:3000.evil.test", "null", ""] {
            assert!(!is_same_origin(&headers(foreign)), "{foreign}");
        }
        assert!(is_same_origin(&HeaderMap::new()), "programs send no Origin");
    }
}
