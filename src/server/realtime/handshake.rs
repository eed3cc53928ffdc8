//! The opening handshake of a WebSocket (RFC 6455, section 4.2), the same for every path that has one.

use super::websocket::WebSocket;
use crate::{domain::error::DropError, server::listen::LimitedStream, text};
use axum::{
    extract::Request,
    http::{HeaderName, HeaderValue, Method, StatusCode, Version, header},
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_STANDARD as BASE64};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio_util::task::TaskTracker;
use tungstenite::handshake::derive_accept_key;

/// A handshake that is right and not yet answered.
pub(super) struct Handshake {
    accept: HeaderValue,
    upgrade: OnUpgrade,
}

impl Handshake {
    pub(super) fn read(request: &mut Request) -> Result<Self, Refusal> {
        let accept = accept_key(request)?;
        let upgrade = request.extensions_mut().remove::<OnUpgrade>().ok_or(Refusal::NoHandshake)?;
        Ok(Self { accept, upgrade })
    }

    /// Answers 101, and serves the WebSocket in a task of its own.
    pub(super) fn accept<F>(
        self,
        tasks: &TaskTracker,
        max_message_bytes: usize,
        serve: impl FnOnce(WebSocket) -> F + Send + 'static,
    ) -> Response
    where
        F: Future<Output = ()> + Send,
    {
        let Self { accept, upgrade } = self;
        tasks.spawn(async move {
            // The client may be gone already.
            let Ok(upgraded) = upgrade.await else { return };
            let Ok(parts) = upgraded.downcast::<TokioIo<LimitedStream>>() else {
                return tracing::error!("a WebSocket upgrade of something other than an accepted connection");
            };
            let (stream, _place) = parts.io.into_inner().into_parts();
            let websocket = WebSocket::new(stream, &parts.read_buf, max_message_bytes);
            // The buffer of the HTTP connection is larger than everything else that a socket needs.
            drop(parts.read_buf);
            serve(websocket).await;
        });
        let headers = [
            (header::CONNECTION, HeaderValue::from_static("upgrade")),
            (header::UPGRADE, WEBSOCKET),
            (header::SEC_WEBSOCKET_ACCEPT, accept),
        ];
        (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
    }
}

/// Why a request opens no WebSocket.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// 426: it asks for another protocol or version, or for none.
    NoHandshake,
    /// 400: its key is not one of 16 bytes.
    Key,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::NoHandshake => {
                let headers = [(header::UPGRADE, WEBSOCKET), (header::SEC_WEBSOCKET_VERSION, VERSION)];
                (StatusCode::UPGRADE_REQUIRED, headers).into_response()
            }
            Self::Key => DropError::invalid("Sec-WebSocket-Key", text::WEBSOCKET_KEY_RULE).into_response(),
        }
    }
}

/// The value of `Sec-WebSocket-Accept`, if the request is a handshake.
fn accept_key<B>(request: &axum::http::Request<B>) -> Result<HeaderValue, Refusal> {
    let headers = request.headers();
    let has = |name: HeaderName, token: &str| {
        let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|value| value.trim().eq_ignore_ascii_case(token))
    };
    let is_handshake = request.method() == Method::GET
        && request.version() == Version::HTTP_11
        && has(header::CONNECTION, "upgrade")
        && has(header::UPGRADE, "websocket")
        && headers.get_all(header::SEC_WEBSOCKET_VERSION).iter().eq([&VERSION]);
    if !is_handshake {
        return Err(Refusal::NoHandshake);
    }
    let mut keys = headers.get_all(header::SEC_WEBSOCKET_KEY).iter();
    let (Some(key), None) = (keys.next(), keys.next()) else { return Err(Refusal::Key) };
    match BASE64.decode(key) {
        Ok(bytes) if bytes.len() == KEY_BYTES => {
            HeaderValue::try_from(derive_accept_key(key.as_bytes())).map_err(|_| Refusal::Key)
        }
        _ => Err(Refusal::Key),
    }
}

const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");

/// The only version of the protocol that came into use.
const VERSION: HeaderValue = HeaderValue::from_static("13");

/// What a client draws at random for each handshake.
const KEY_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    /// A right handshake with some headers in place of its own; those with an empty name only leave out.
    fn handshake(replaced: &[&str], headers: &[(&str, &str)]) -> http::request::Builder {
        let own = [
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", KEY),
        ];
        let kept = own.into_iter().filter(|(name, _)| !replaced.contains(name));
        kept.chain(headers.iter().copied())
            .fold(http::Request::get("/ws"), |request, (name, value)| request.header(name, value))
    }

    fn answer(request: http::request::Builder) -> Result<HeaderValue, Refusal> {
        accept_key(&request.body(()).expect("a request"))
    }

    #[test]
    fn a_right_handshake_gets_the_key_of_the_standard() {
        let expected = Ok(HeaderValue::from_static("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        for (replaced, headers) in [
            (vec![], vec![]),
            (vec!["connection"], vec![("connection", "keep-alive, Upgrade")]),
            (vec!["connection"], vec![("connection", "keep-alive"), ("connection", "UPGRADE")]),
            (vec!["upgrade"], vec![("upgrade", "WebSocket")]),
            (vec!["upgrade"], vec![("upgrade", "h2c, websocket")]),
        ] {
            assert_eq!(answer(handshake(&replaced, &headers)), expected, "{headers:?}");
        }
    }

    #[test]
    fn what_is_no_handshake_of_version_13_is_told_what_would_be_one() {
        for (name, values) in [
            ("connection", vec![]),
            ("connection", vec!["keep-alive"]),
            ("connection", vec!["upgraded"]),
            ("upgrade", vec![]),
            ("upgrade", vec!["h2c"]),
            ("sec-websocket-version", vec![]),
            ("sec-websocket-version", vec!["8"]),
            ("sec-websocket-version", vec!["13, 8"]),
            ("sec-websocket-version", vec!["13", "13"]),
        ] {
            let headers: Vec<_> = values.iter().map(|value| (name, *value)).collect();
            assert_eq!(answer(handshake(&[name], &headers)), Err(Refusal::NoHandshake), "{headers:?}");
        }
        for version in [Version::HTTP_09, Version::HTTP_10, Version::HTTP_2] {
            assert_eq!(answer(handshake(&[], &[]).version(version)), Err(Refusal::NoHandshake), "{version:?}");
        }
        for method in [Method::POST, Method::HEAD, Method::CONNECT] {
            assert_eq!(answer(handshake(&[], &[]).method(&method)), Err(Refusal::NoHandshake), "{method}");
        }
    }

    #[test]
    fn a_key_is_16_bytes_in_base64_once() {
        let long = BASE64.encode([0; 17]);
        for keys in [
            vec![],
            vec![""],
            vec!["c2hvcnQ="],
            vec!["no base64, which it must be"],
            vec!["dGhlIHNhbXBsZSBub25jZQ"],
            vec![&*long],
            vec![KEY, KEY],
            vec![KEY, ""],
        ] {
            let headers: Vec<_> = keys.iter().map(|key| ("sec-websocket-key", *key)).collect();
            assert_eq!(answer(handshake(&["sec-websocket-key"], &headers)), Err(Refusal::Key), "{keys:?}");
        }
    }
}
