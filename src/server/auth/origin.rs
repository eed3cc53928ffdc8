//! Where a request comes from, and under which address the site is seen.

use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri, header, uri::Authority};
use std::{fmt, str::FromStr};

/// The pages that may act for their visitors, beside those of the host that a request names.
#[derive(Clone, Default)]
pub struct Origins {
    /// Where visitors see this site, if a proxy names another host.
    pub public: Option<Origin>,
    /// Pages elsewhere that call this site for their visitors.
    pub foreign: Vec<Origin>,
}

/// The scheme, host and port of a page, as browsers send it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    is_https: bool,
    /// In lower case.
    host: String,
    port: u16,
}

impl FromStr for Origin {
    type Err = ();

    fn from_str(origin: &str) -> Result<Self, ()> {
        let (scheme, authority) = origin.split_once("://").ok_or(())?;
        let (is_https, default_port) = match scheme {
            "http" => (false, 80),
            "https" => (true, 443),
            _ => return Err(()),
        };
        let (host, port) = host_and_port(authority).ok_or(())?;
        Ok(Self { is_https, host, port: port.unwrap_or(default_port) })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { is_https, host, port } = self;
        let (scheme, default_port) = if *is_https { ("https", 443) } else { ("http", 80) };
        write!(f, "{scheme}://{host}")?;
        if *port == default_port { Ok(()) } else { write!(f, ":{port}") }
    }
}

fn read(origin: &HeaderValue) -> Option<Origin> {
    origin.to_str().ok()?.parse().ok()
}

/// Whether a `Host` names a host, and a port if any.
pub(crate) fn is_host(host: &HeaderValue) -> bool {
    host.to_str().is_ok_and(|host| host_and_port(host).is_some_and(|(host, _)| !host.is_empty()))
}

fn host_and_port(authority: &str) -> Option<(String, Option<u16>)> {
    let authority = authority.parse::<Authority>().ok()?;
    // What is more than a host is a port: no user, and no number that is none.
    let port = match authority.as_str().strip_prefix(authority.host())? {
        "" => None,
        port => Some(port.strip_prefix(':')?.parse().ok()?),
    };
    Some((authority.host().to_ascii_lowercase(), port))
}

impl Origins {
    /// Whether a request may act for its sender: it comes from a page of this site, from a listed one or from no page.
    /// Browsers always send `Origin` with requests that change something or open a socket; other programs leave it out. A
    /// token is no excuse: a proxy may have added it.
    pub(crate) fn may_act(&self, headers: &HeaderMap) -> bool {
        headers.get(header::ORIGIN).is_none_or(|origin| {
            read(origin).is_some_and(|origin| self.is_this_site(headers, &origin) || self.foreign.contains(&origin))
        })
    }

    /// Whether a request may act for the admin: as above, but no page elsewhere may, also none of the listed ones.
    pub(crate) fn may_act_for_the_admin(&self, headers: &HeaderMap) -> bool {
        headers
            .get(header::ORIGIN)
            .is_none_or(|origin| read(origin).is_some_and(|origin| self.is_this_site(headers, &origin)))
    }

    /// Whether an `Origin` is one of the listed pages elsewhere.
    pub(crate) fn is_foreign(&self, origin: &HeaderValue) -> bool {
        read(origin).is_some_and(|origin| self.foreign.contains(&origin))
    }

    /// Whether cookies must travel from pages of other sites. Browsers send only those that say so, and only between https
    /// pages. Which hosts are one site is not known here.
    pub(crate) fn are_cross_site(&self) -> bool {
        self.foreign.iter().any(|origin| origin.is_https)
    }

    /// Whether a page at this address is one of this site. Of a `Host` the scheme only gives the port that is left out: this
    /// server does not know by which one it is reached.
    fn is_this_site(&self, headers: &HeaderMap, origin: &Origin) -> bool {
        let host = headers.get(header::HOST).and_then(|host| host_and_port(host.to_str().ok()?));
        let default_port = if origin.is_https { 443 } else { 80 };
        self.public.as_ref() == Some(origin)
            || host.is_some_and(|(host, port)| host == origin.host && port.unwrap_or(default_port) == origin.port)
    }

    /// The page of this site from which the request was sent, if it was from one.
    pub(crate) fn referring_page(&self, headers: &HeaderMap) -> Option<Uri> {
        let referer: Uri = headers.get(header::REFERER)?.to_str().ok()?.parse().ok()?;
        let origin = format!("{}://{}", referer.scheme_str()?, referer.authority()?).parse().ok()?;
        self.is_this_site(headers, &origin).then_some(referer)
    }

    /// Scheme and host under which visitors see this site.
    pub(crate) fn of_this_site(&self, headers: &HeaderMap) -> String {
        if let Some(public) = &self.public {
            return public.to_string();
        }
        let scheme = if self.is_https(headers) { "https" } else { "http" };
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
        format!("{scheme}://{host}")
    }

    /// As the reverse proxies report it, the outermost first, or as the configuration says; this server does not terminate
    /// TLS.
    pub(crate) fn is_https(&self, headers: &HeaderMap) -> bool {
        const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
        let schemes = headers.get(FORWARDED_PROTO).and_then(|schemes| schemes.to_str().ok()).unwrap_or_default();
        self.public.as_ref().is_some_and(|public| public.is_https)
            || schemes.split(',').next().is_some_and(|scheme| scheme.trim().eq_ignore_ascii_case("https"))
    }
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
            assert!(
                Origins::default().may_act(&headers([(header::HOST, host), (header::ORIGIN, origin)])),
                "{host} {origin}"
            );
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
            assert!(
                !Origins::default().may_act(&headers([(header::HOST, host), (header::ORIGIN, origin)])),
                "{host} {origin}"
            );
        }
        assert!(Origins::default().may_act(&HeaderMap::new()), "programs send no Origin");
        let foreign = [(header::HOST, "shop.test"), (header::ORIGIN, "http://evil.test")];
        assert!(!Origins::default().may_act(&headers(foreign.clone())));
        let [host, origin] = foreign;
        let authorization = (header::AUTHORIZATION, "Bearer x");
        assert!(!Origins::default().may_act(&headers([host, origin, authorization])), "a proxy may add a token");
    }

    #[test]
    fn outermost_proxy_says_how_the_site_is_reached() {
        let forwarded = |schemes| headers([(HeaderName::from_static("x-forwarded-proto"), schemes)]);
        for https in ["https", "HTTPS", "https, http", "https,http,http", " https "] {
            assert!(Origins::default().is_https(&forwarded(https)), "{https}");
        }
        for http in ["http", "http, https", "", "httpsx"] {
            assert!(!Origins::default().is_https(&forwarded(http)), "{http}");
        }
    }

    #[test]
    fn configured_pages_may_act_whatever_host_the_proxy_names() {
        let origin = |origin: &str| origin.parse::<Origin>().expect("an origin");
        let origins = Origins {
            public: Some(origin("https://shop.test")),
            foreign: vec![origin("http://localhost:5173"), origin("https://Other.test:443")],
        };
        let from = |origin| headers([(header::HOST, "127.0.0.1:3000"), (header::ORIGIN, origin)]);
        for allowed in ["https://shop.test", "http://localhost:5173", "https://other.test", "http://127.0.0.1:3000"] {
            assert!(origins.may_act(&from(allowed)), "{allowed}");
        }
        for refused in ["http://shop.test", "http://localhost", "https://localhost:5173", "http://other.test", "null"] {
            assert!(!origins.may_act(&from(refused)), "{refused}");
        }
        for own in ["https://shop.test", "http://127.0.0.1:3000"] {
            assert!(origins.may_act_for_the_admin(&from(own)), "{own}");
        }
        for elsewhere in ["http://localhost:5173", "https://other.test", "http://shop.test", "http://evil.test", "null"]
        {
            assert!(!origins.may_act_for_the_admin(&from(elsewhere)), "{elsewhere}");
        }
        assert!(origins.may_act_for_the_admin(&HeaderMap::new()), "programs send no Origin");
        assert_eq!(origins.of_this_site(&from("null")), "https://shop.test");
        assert!(origins.is_https(&from("null")));
        for no_origin in [
            "shop.test",
            "*",
            "https://shop.test/",
            "https://a@shop.test",
            "ftp://shop.test",
            "",
            "https://shop.test:99999",
        ] {
            assert!(no_origin.parse::<Origin>().is_err(), "{no_origin}");
        }
    }
}
