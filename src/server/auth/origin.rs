//! Where a request comes from, and under which address the site is seen.

use axum::http::{HeaderMap, HeaderName, Uri, header, uri::Authority};

/// Whether a request may act for its sender: it comes from a page of this site or from no page, or it brings its proof
/// itself. Browsers always send `Origin` with requests that change something or open a socket; other programs may leave it
/// out.
pub(crate) fn may_act(headers: &HeaderMap) -> bool {
    headers.contains_key(header::AUTHORIZATION)
        || headers.get(header::ORIGIN).is_none_or(|origin| {
            let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
            origin.is_some_and(|(scheme, authority)| is_this_site(headers, scheme, authority))
        })
}

/// Whether a page at this address is one of this site. The scheme only gives the ports that are left out: this server does
/// not know by which one it is reached.
fn is_this_site(headers: &HeaderMap, scheme: &str, authority: &str) -> bool {
    let default_port = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return false,
    };
    let site = |authority: &str| {
        let authority = authority.parse::<Authority>().ok().filter(|authority| !authority.as_str().contains('@'))?;
        Some((authority.host().to_ascii_lowercase(), authority.port_u16().unwrap_or(default_port)))
    };
    let host = headers.get(header::HOST).and_then(|host| site(host.to_str().ok()?));
    host.is_some() && site(authority) == host
}

/// The path of the page of this site from which the request was sent, if it was from one.
pub(crate) fn referring_path(headers: &HeaderMap) -> Option<String> {
    let referer: Uri = headers.get(header::REFERER)?.to_str().ok()?.parse().ok()?;
    let is_ours = is_this_site(headers, referer.scheme_str()?, referer.authority()?.as_str());
    is_ours.then(|| referer.path().to_owned())
}

/// Scheme and host under which the caller reached this site.
pub(crate) fn origin(headers: &HeaderMap) -> String {
    let scheme = if is_https(headers) { "https" } else { "http" };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    format!("{scheme}://{host}")
}

/// As the reverse proxies report it, the outermost first; this server does not terminate TLS.
pub(crate) fn is_https(headers: &HeaderMap) -> bool {
    const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
    let schemes = headers.get(FORWARDED_PROTO).and_then(|schemes| schemes.to_str().ok()).unwrap_or_default();
    schemes.split(',').next().is_some_and(|scheme| scheme.trim().eq_ignore_ascii_case("https"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn headers<const N: usize>(headers: [(HeaderName, &'static str); N]) -> HeaderMap {
        headers.into_iter().map(|(name, value)| (name, HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn only_pages_of_this_host_may_act() {
        for (host, origin) in [
            ("shop.test:3000", "http://shop.test:3000"),
            ("shop.test:3000", "https://SHOP.test:3000"),
            ("shop.test:443", "https://shop.test"),
            ("shop.test", "https://shop.test:443"),
            ("shop.test:80", "http://shop.test"),
            ("[::1]:3000", "http://[::1]:3000"),
        ] {
            assert!(may_act(&headers([(header::HOST, host), (header::ORIGIN, origin)])), "{host} {origin}");
        }
        for (host, origin) in [
            ("shop.test:3000", "http://evil.test"),
            ("shop.test:3000", "http://shop.test"),
            ("shop.test:3000", "http://shop.test:3000.evil.test"),
            ("shop.test:80", "https://shop.test"),
            ("shop.test", "ftp://shop.test"),
            ("shop.test", "http://evil.test@shop.test"),
            ("shop.test", "http://shop.test/"),
            ("shop.test", "null"),
            ("shop.test", ""),
        ] {
            assert!(!may_act(&headers([(header::HOST, host), (header::ORIGIN, origin)])), "{host} {origin}");
        }
        assert!(may_act(&HeaderMap::new()), "programs send no Origin");
        let foreign = [(header::HOST, "shop.test"), (header::ORIGIN, "http://evil.test")];
        assert!(!may_act(&headers(foreign.clone())));
        let [host, origin] = foreign;
        assert!(
            may_act(&headers([host, origin, (header::AUTHORIZATION, "Bearer x")])),
            "no browser adds a token by itself"
        );
    }

    #[test]
    fn outermost_proxy_says_how_the_site_is_reached() {
        let forwarded = |schemes| headers([(HeaderName::from_static("x-forwarded-proto"), schemes)]);
        for https in ["https", "HTTPS", "https, http", "https,http,http", " https "] {
            assert!(is_https(&forwarded(https)), "{https}");
        }
        for http in ["http", "http, https", "", "httpsx"] {
            assert!(!is_https(&forwarded(http)), "{http}");
        }
    }
}
