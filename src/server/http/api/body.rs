//! JSON bodies, read as the struct of their request, and the ids in a path.
//!
//! Each spelling of a value is a field of its own, so that an error names the field as the caller spelled it. `null` is an
//! absent field, and unknown fields are ignored.

use crate::{
    domain::error::{DropError, Missing},
    server::{
        http::{path::id_in_path, request_body::read_body},
        state::AppState,
    },
};
use axum::{
    extract::{FromRequest, FromRequestParts, Query, Request},
    http::{HeaderMap, Uri, header, request::Parts},
};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;
use std::collections::HashMap;

/// The request that a JSON object describes; no body at all is an object without fields.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<AppState> for Body<T> {
    type Rejection = DropError;

    async fn from_request(request: Request, _: &AppState) -> Result<Self, DropError> {
        let (parts, body) = request.into_parts();
        let is_json = is_json(&parts.headers);
        let body = read_body(&parts.headers, body).await?;
        if body.is_empty() {
            return read("{}").map(Self);
        }
        if !is_json {
            return Err(DropError::WrongContentType);
        }
        match str::from_utf8(&body) {
            // serde would read a list as the fields of a struct in their order. Some editors begin a text with a byte-order mark.
            Ok(body) => match body.trim_start_matches('\u{feff}').trim_start() {
                body if body.starts_with('{') => read(body).map(Self),
                _ => Err(DropError::MalformedBody("it is not a JSON object".into())),
            },
            Err(error) => Err(DropError::MalformedBody(format!("it is not text ({error})"))),
        }
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("application/json")
}

fn read<T: DeserializeOwned>(body: &str) -> Result<T, DropError> {
    // All of it, so that a fault of the syntax is not hidden by a field before it.
    serde_json::from_str::<IgnoredAny>(body).map_err(|error| not_json(&error))?;
    let mut json = serde_json::Deserializer::from_str(body);
    let request = serde_path_to_error::deserialize(&mut json).map_err(|error| refusal(&error))?;
    Ok(request)
}

/// The parameters of a query, as text.
pub(super) fn read_query<T: DeserializeOwned>(uri: &Uri) -> Result<T, DropError> {
    let Query(parameters) = Query::<HashMap<String, Value>>::try_from_uri(uri).unwrap_or_default();
    let parameters = parameters.into_iter().collect::<serde_json::Map<_, _>>();
    serde_path_to_error::deserialize(Value::Object(parameters)).map_err(|error| refusal(&error))
}

fn not_json(error: &serde_json::Error) -> DropError {
    DropError::MalformedBody(format!("it is not JSON ({error})"))
}

/// Names the field and its requirement. serde words its errors always alike; what our own types say of a value is already
/// the rest of a sentence.
fn refusal(error: &serde_path_to_error::Error<serde_json::Error>) -> DropError {
    let cause = error.inner();
    if !cause.is_data() {
        return not_json(cause);
    }
    let message = cause.to_string();
    let message = message.rsplit_once(" at line ").map_or(&*message, |(message, _)| message);
    let field_of = |problem| Some(message.strip_prefix(problem)?.trim_matches('`'));
    let (child, expected) = if let Some(field) = field_of("missing field ") {
        (Some(field), "is missing".to_owned())
    } else if let Some(field) = field_of("duplicate field ") {
        (Some(field), "is there twice".to_owned())
    } else if field_of("unknown field ").is_some() {
        (None, "is unknown".to_owned())
    } else if let Some((_, expected)) = message.rsplit_once(", expected ") {
        (None, format!("must be {expected}"))
    } else {
        (None, message.to_owned())
    };
    let path = error.path().to_string();
    let field = match child {
        None => path,
        Some(child) if path == "." => child.to_owned(),
        Some(child) => format!("{path}.{child}"),
    };
    DropError::Invalid { field, expected }
}

/// The one spelling of a value that has it. The first spelling is the documented one.
pub(super) fn one_of<T, const N: usize>(
    spellings: [(&'static str, Option<T>); N],
) -> Result<(&'static str, Option<T>), DropError> {
    let documented = spellings[0].0;
    let mut present = spellings.into_iter().filter(|(_, value)| value.is_some());
    match (present.next(), present.next()) {
        (Some((first, _)), Some((second, _))) => {
            Err(DropError::invalid(second, format!("is there twice, also as {first}")))
        }
        (found, _) => Ok(found.unwrap_or((documented, None))),
    }
}

/// The value of a field that must be there.
pub(super) fn required<T>((field, value): (&str, Option<T>)) -> Result<T, DropError> {
    value.ok_or_else(|| DropError::invalid(field, "is missing"))
}

/// The `{dropId}` of a path.
pub(super) struct DropId(pub(super) i64);

impl FromRequestParts<AppState> for DropId {
    type Rejection = DropError;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, DropError> {
        id_in_path(parts, "drop_id").await.map(Self).ok_or(DropError::NotFound(Missing::Drop))
    }
}

/// The `{purchaseId}` of a path.
pub(super) struct PurchaseId(pub(super) i64);

impl FromRequestParts<AppState> for PurchaseId {
    type Rejection = DropError;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, DropError> {
        id_in_path(parts, "purchase_id").await.map(Self).ok_or(DropError::NotFound(Missing::Path))
    }
}
