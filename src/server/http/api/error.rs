//! Errors as the REST API answers them: `{"error", "code"}` and, where it helps, one field more.

use crate::domain::error::DropError;
use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

impl IntoResponse for DropError {
    fn into_response(self) -> Response {
        let mut body = json!({ "error": self.to_string(), "code": self.code() });
        match &self {
            Self::Invalid { field, .. } => body["field"] = json!(field),
            Self::NotStarted { starts_at } => body["starts_at"] = json!(starts_at),
            Self::LimitReached { limit } => body["limit"] = json!(limit),
            Self::SizeRequired { sizes_left } | Self::UnknownSize { sizes_left } => {
                body["sizes_left"] = json!(sizes_left)
            }
            _ => {}
        }
        let status = StatusCode::from_u16(self.status()).expect("DropError::status gives valid codes");
        let mut response = (status, Json(body)).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
