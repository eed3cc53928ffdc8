//! The one error on the wire.

use super::timestamp;
use chrono::{DateTime, Utc};
use leptos::server_fn::{
    codec::JsonEncoding,
    error::{FromServerFnError, ServerFnErrorErr},
};
use serde::{Deserialize, Serialize};

/// Why a request got nothing. Refusals are part of the game and say what to do next; faults say whether a retry is safe.
///
/// The same value travels to the page (as JSON of this enum) and to REST clients (as `{"error", "code", …}` with
/// [`DropError::status`]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DropError {
    /// 400: a field is missing or bad; nothing was changed.
    Invalid {
        /// The field's name as the caller spells it.
        field: String,
        /// What is expected of it, as the end of a sentence that begins with the field.
        expected: String,
    },
    /// 400: the body is not the JSON object that was expected.
    MalformedBody(String),
    /// 413: the body is larger than 64 KiB.
    BodyTooLarge,
    /// 415: the body is not `application/json`.
    WrongContentType,
    /// 401: nobody is signed in, or the token is not valid.
    Unauthorized,
    /// 403: the request acts for someone else, or comes from another site.
    Forbidden,
    /// 404: no such drop, reservation, user or path.
    NotFound(Missing),
    /// 405: the path exists, but not with this method.
    MethodNotAllowed,
    /// 409: the account belongs to another browser.
    UsernameTaken,
    /// 409: no pair is left of the drop, or of the size asked for.
    SoldOut,
    /// 409: too early.
    NotStarted {
        /// When to come back.
        #[serde(deserialize_with = "timestamp::read")]
        starts_at: DateTime<Utc>,
    },
    /// 409: too late.
    Ended,
    /// 409: the caller holds or owns as many as one person may.
    LimitReached {
        /// Pairs per person.
        limit: i32,
    },
    /// 409: there is nothing to buy or to give back.
    NoActiveReservation,
    /// 409: the pair went back before it was bought.
    ReservationExpired,
    /// 422: the drop comes in sizes and none was named.
    SizeRequired {
        /// Labels of those with stock.
        sizes_left: Vec<String>,
    },
    /// 422: the drop has no such size.
    UnknownSize {
        /// Labels of those with stock.
        sizes_left: Vec<String>,
    },
    /// 503: the database is away or busy; nothing was changed.
    Unavailable,
    /// 503: the connection broke during COMMIT, so the outcome is not known. Asking again is safe and tells.
    Unknown,
    /// 500: our fault; the log has the cause.
    Internal,
    /// Never sent: the browser could not reach the server.
    Unreachable,
}

/// What a [`DropError::NotFound`] was looking for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// A drop.
    Drop,
    /// A reservation; someone else's looks the same.
    Reservation,
    /// A user.
    User,
    /// A path under `/api` or `/rpc`.
    Path,
}

impl DropError {
    /// Shorthand for [`DropError::Invalid`].
    pub fn invalid(field: impl Into<String>, expected: impl Into<String>) -> Self {
        Self::Invalid { field: field.into(), expected: expected.into() }
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        match self {
            Self::Invalid { .. } | Self::MalformedBody(_) => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound(_) => 404,
            Self::MethodNotAllowed => 405,
            Self::UsernameTaken
            | Self::SoldOut
            | Self::NotStarted { .. }
            | Self::Ended
            | Self::LimitReached { .. }
            | Self::NoActiveReservation
            | Self::ReservationExpired => 409,
            Self::BodyTooLarge => 413,
            Self::WrongContentType => 415,
            Self::SizeRequired { .. } | Self::UnknownSize { .. } => 422,
            Self::Internal => 500,
            Self::Unavailable | Self::Unknown | Self::Unreachable => 503,
        }
    }

    /// The stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid { .. } => "invalid_field",
            Self::MalformedBody(_) => "malformed_body",
            Self::BodyTooLarge => "body_too_large",
            Self::WrongContentType => "wrong_content_type",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound(_) => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::UsernameTaken => "username_taken",
            Self::SoldOut => "sold_out",
            Self::NotStarted { .. } => "not_started",
            Self::Ended => "ended",
            Self::LimitReached { .. } => "limit_reached",
            Self::NoActiveReservation => "no_active_reservation",
            Self::ReservationExpired => "reservation_expired",
            Self::SizeRequired { .. } => "size_required",
            Self::UnknownSize { .. } => "unknown_size",
            Self::Unavailable => "unavailable",
            Self::Unknown => "unknown",
            Self::Internal => "internal",
            Self::Unreachable => "unreachable",
        }
    }
}

impl std::error::Error for DropError {}

impl FromServerFnError for DropError {
    type Encoder = JsonEncoding;

    /// Faults of the call itself: arguments that don't parse are the caller's, an answer that doesn't come is the
    /// network's. Leptos's own message is for developers, so it stays out of what people read.
    fn from_server_fn_error(error: ServerFnErrorErr) -> Self {
        match error {
            ServerFnErrorErr::Args(message)
            | ServerFnErrorErr::MissingArg(message)
            | ServerFnErrorErr::Deserialization(message) => Self::MalformedBody(message),
            ServerFnErrorErr::Request(_) => Self::Unreachable,
            _ => Self::Internal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_survives_the_wire_to_the_page() {
        let error = DropError::UnknownSize { sizes_left: vec!["US 9".into()] };
        assert_eq!(DropError::de(error.ser()), error);
    }

    #[test]
    fn arguments_that_do_not_parse_are_the_callers_fault() {
        let error = DropError::from_server_fn_error(ServerFnErrorErr::Args("bad".into()));
        assert_eq!(error.status(), 400);
    }
}
