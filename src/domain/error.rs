//! The error that every request can fail with.

use super::Timestamp;
use leptos::server_fn::{
    codec::JsonEncoding,
    error::{FromServerFnError, ServerFnErrorErr},
};
use serde::{Deserialize, Serialize};

/// Why a request failed: refused by a rule, or because of a fault.
///
/// Pages receive it as JSON of this enum, REST clients as `{"error", "code", …}`; both with [`DropError::status`]. Its
/// `Display` text, for people, is in `text.rs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DropError {
    /// 400: a field is missing or invalid.
    Invalid {
        /// The field's name in the caller's spelling.
        field: String,
        /// The requirement, as the rest of a sentence that begins with the field's name.
        expected: String,
    },
    /// 400: the body is not the expected JSON object, or the arguments could not be read. Carries the parser's message.
    MalformedBody(String),
    /// 413: the body is larger than 64 KiB.
    BodyTooLarge,
    /// 408: the body stopped coming.
    BodyTimedOut,
    /// 415: the body is not `application/json`, or it is compressed.
    WrongContentType,
    /// 401: there is no valid session or token.
    Unauthorized,
    /// 403: the request acts for another user.
    Forbidden,
    /// 403: the request was sent from a page of another site.
    ForeignOrigin,
    /// 404.
    NotFound(Missing),
    /// 405.
    MethodNotAllowed,
    /// 409: a page acts for the user that it shows, but somebody else is signed in.
    AnotherUser,
    /// 409: another browser claimed the username, or one that looks the same.
    UsernameTaken,
    /// 409: the browser has claimed as many usernames as it can keep.
    TooManyNames,
    /// 409: no pair of the drop, or of the requested size, is available.
    SoldOut,
    /// 409.
    NotStarted { starts_at: Timestamp },
    /// 409.
    Ended,
    /// 409: for now nobody can reserve.
    Paused,
    /// 409: the user's purchases and active reservations already reach the drop's limit.
    LimitReached {
        /// Pairs per user.
        limit: i32,
    },
    /// 409: the user has no reservation of the drop to purchase or to release.
    NoActiveReservation,
    /// 409: the reservation expired before the purchase.
    ReservationExpired,
    /// 409: the purchase was made and cancelled.
    PurchaseCancelled,
    /// 422: the drop has several sizes and the request names none.
    SizeRequired {
        /// Labels of the sizes with stock.
        sizes_left: Vec<String>,
    },
    /// 422: the drop does not have the requested size.
    UnknownSize {
        /// Labels of the sizes with stock.
        sizes_left: Vec<String>,
    },
    /// 429: too many requests of the user wait already. Nothing was changed.
    TooManyRequests,
    /// 503: the database is unreachable or overloaded. Nothing was changed.
    Unavailable,
    /// 503: the outcome is unknown because the connection broke during COMMIT, or in the browser because no answer came. A
    /// retry is safe and returns the outcome.
    Unknown,
    /// 500: a fault, whose cause the server logs.
    Internal,
    /// Made in the browser when the server could not be reached; never sent.
    Unreachable,
}

/// What a [`DropError::NotFound`] did not find.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    Drop,
    /// Also the answer for another user's reservation.
    Reservation,
    User,
    /// A path under `/api` or `/rpc`.
    Path,
}

impl DropError {
    pub fn invalid(field: impl Into<String>, expected: impl Into<String>) -> Self {
        Self::Invalid { field: field.into(), expected: expected.into() }
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        match self {
            Self::Invalid { .. } | Self::MalformedBody(_) => 400,
            Self::Unauthorized => 401,
            Self::Forbidden | Self::ForeignOrigin => 403,
            Self::NotFound(_) => 404,
            Self::MethodNotAllowed => 405,
            Self::BodyTimedOut => 408,
            Self::AnotherUser
            | Self::UsernameTaken
            | Self::TooManyNames
            | Self::SoldOut
            | Self::NotStarted { .. }
            | Self::Ended
            | Self::Paused
            | Self::LimitReached { .. }
            | Self::NoActiveReservation
            | Self::ReservationExpired
            | Self::PurchaseCancelled => 409,
            Self::BodyTooLarge => 413,
            Self::WrongContentType => 415,
            Self::SizeRequired { .. } | Self::UnknownSize { .. } => 422,
            Self::TooManyRequests => 429,
            Self::Internal => 500,
            Self::Unavailable | Self::Unknown | Self::Unreachable => 503,
        }
    }

    /// The stable identifier for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid { .. } => "invalid_field",
            Self::MalformedBody(_) => "malformed_body",
            Self::BodyTooLarge => "body_too_large",
            Self::BodyTimedOut => "body_timed_out",
            Self::WrongContentType => "wrong_content_type",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::ForeignOrigin => "foreign_origin",
            Self::NotFound(_) => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::AnotherUser => "another_user",
            Self::UsernameTaken => "username_taken",
            Self::TooManyNames => "too_many_names",
            Self::SoldOut => "sold_out",
            Self::NotStarted { .. } => "not_started",
            Self::Ended => "ended",
            Self::Paused => "paused",
            Self::LimitReached { .. } => "limit_reached",
            Self::NoActiveReservation => "no_active_reservation",
            Self::ReservationExpired => "reservation_expired",
            Self::PurchaseCancelled => "cancelled",
            Self::SizeRequired { .. } => "size_required",
            Self::UnknownSize { .. } => "unknown_size",
            Self::TooManyRequests => "too_many_requests",
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

    /// For faults of the call itself: unreadable arguments are the caller's error, a failed request is a network fault.
    /// Leptos's message is for developers, so only [`DropError::MalformedBody`] carries it.
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
    fn an_error_is_unchanged_by_encoding_and_decoding() {
        let error = DropError::UnknownSize { sizes_left: vec!["US 9".into()] };
        assert_eq!(DropError::de(error.ser()), error);
    }

    #[test]
    fn unreadable_arguments_are_a_bad_request() {
        let error = DropError::from_server_fn_error(ServerFnErrorErr::Args("bad".into()));
        assert_eq!(error.status(), 400);
    }
}
