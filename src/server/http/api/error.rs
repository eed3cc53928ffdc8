//! Errors as the REST API answers them: `{"error", "code"}` and, where it helps, one field more.

use crate::{
    domain::{
        Timestamp,
        edit::{EditError, Refusal},
        error::DropError,
    },
    text,
};
use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

#[derive(Default, Serialize)]
struct ErrorResponse<'a> {
    /// For people.
    error: String,
    /// For programs.
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    starts_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sizes_left: Option<&'a [String]>,
    #[serde(rename = "editVersion", skip_serializing_if = "Option::is_none")]
    edit_version: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    available: Option<i32>,
}

impl IntoResponse for DropError {
    fn into_response(self) -> Response {
        let body = ErrorResponse { error: self.to_string(), code: self.code(), ..ErrorResponse::default() };
        let body = match &self {
            Self::Invalid { field, .. } => ErrorResponse { field: Some(field), ..body },
            Self::NotStarted { starts_at } => ErrorResponse { starts_at: Some(*starts_at), ..body },
            Self::LimitReached { limit } => ErrorResponse { limit: Some(*limit), ..body },
            Self::SizeRequired { sizes_left } | Self::UnknownSize { sizes_left } => {
                ErrorResponse { sizes_left: Some(sizes_left), ..body }
            }
            _ => body,
        };
        let status = StatusCode::from_u16(self.status()).expect("DropError::status gives valid codes");
        let mut response = (status, Json(body)).into_response();
        if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

impl IntoResponse for EditError {
    fn into_response(self) -> Response {
        let error = self.to_string();
        let body = match &self {
            Self::Drop(error) => return error.clone().into_response(),
            Self::EditedMeanwhile { edit_version } => ErrorResponse {
                error,
                code: "edited_meanwhile",
                edit_version: Some(*edit_version),
                ..ErrorResponse::default()
            },
            Self::Refused(refusal) => {
                let available = match refusal {
                    Refusal::NotAvailable { available } => Some(*available),
                    _ => None,
                };
                ErrorResponse { error, code: refusal.code(), available, ..ErrorResponse::default() }
            }
        };
        (StatusCode::CONFLICT, Json(body)).into_response()
    }
}

/// 401: the call is for those who bear the admin token.
pub(super) struct AdminTokenNeeded;

impl IntoResponse for AdminTokenNeeded {
    fn into_response(self) -> Response {
        let error = DropError::Unauthorized;
        let body =
            ErrorResponse { error: text::ADMIN_TOKEN_NEEDED.into(), code: error.code(), ..ErrorResponse::default() };
        (StatusCode::UNAUTHORIZED, Json(body)).into_response()
    }
}
