//! The middleware that every request passes: those that name no host and cross-site ones are refused, and answers get the
//! headers that all of them have.

use super::address::on_this_site;
use crate::{
    domain::error::DropError,
    server::{auth::origin::is_host, state::AppState},
};
use axum::{
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, Version, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

/// Refuses requests that do not say for which site they are, or that change something and come from a page of another site;
/// words the refusal of a method; adds the headers that every response has.
pub(crate) async fn protect(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let origins = &state.config.origins;
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let is_https = origins.is_https(request.headers());
    let mut response = match check_target(&request) {
        Err(error) => error.into_response(),
        Ok(()) if is_read || origins.may_act(request.headers()) => next.run(request).await,
        Ok(()) => DropError::ForeignOrigin.into_response(),
    };
    if response.status() == StatusCode::METHOD_NOT_ALLOWED {
        let allow = response.headers_mut().remove(header::ALLOW);
        response = DropError::MethodNotAllowed.into_response();
        response.headers_mut().extend(allow.map(|allow| (header::ALLOW, allow)));
    }
    let headers = response.headers_mut();
    if let Some(location) = headers.get(header::LOCATION) {
        let location = on_this_site(location);
        headers.insert(header::LOCATION, location);
    }
    // Also of what was not compressed, such as a 304: caches take them for the same.
    if !headers.get_all(header::VARY).iter().any(|vary| vary == ACCEPT_ENCODING) {
        headers.append(header::VARY, ACCEPT_ENCODING);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    headers.insert("permissions-policy", HeaderValue::from_static("camera=(), geolocation=(), microphone=()"));
    let nothing = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(nothing);
    if is_https {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    response
}

/// Whether a request names a path, and the site as RFC 9112, 3.2, has it: a version before 1.1 need not.
fn check_target(request: &Request) -> Result<(), DropError> {
    if !request.uri().path().starts_with('/') {
        return Err(DropError::invalid("path", "must begin with a slash"));
    }
    let mut hosts = request.headers().get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) if is_host(host) => Ok(()),
        (None, None) if request.version() < Version::HTTP_11 => Ok(()),
        _ => Err(DropError::invalid("Host", "must be there once and name this site")),
    }
}

const ACCEPT_ENCODING: HeaderValue = HeaderValue::from_static("accept-encoding");
