//! The fields of a JSON body and the drop in a path.

use crate::{
    domain::error::DropError,
    server::{http::body_limit::MAX_BODY_BYTES, state::AppState},
};
use axum::{
    body::to_bytes,
    extract::{FromRequest, FromRequestParts, Path, Request},
    http::{HeaderMap, header, request::Parts},
};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

/// The `{dropId}` of a path.
pub(super) struct DropId(pub(super) i64);

impl FromRequestParts<AppState> for DropId {
    type Rejection = DropError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, DropError> {
        let expected = || DropError::invalid("dropId", ID_EXPECTED);
        let Path(id) = Path::<String>::from_request_parts(parts, state).await.map_err(|_| expected())?;
        match id.parse() {
            Ok(drop_id @ 1..) if !id.starts_with('+') => Ok(Self(drop_id)),
            _ => Err(expected()),
        }
    }
}

const ID_EXPECTED: &str = "must be a whole number from 1 to 9223372036854775807";

/// The fields of a JSON object; no body at all is an object without fields.
pub(super) struct Fields(pub(super) Map<String, Value>);

impl FromRequest<AppState> for Fields {
    type Rejection = DropError;

    async fn from_request(request: Request, _: &AppState) -> Result<Self, DropError> {
        let is_json = is_json(request.headers());
        let body = to_bytes(request.into_body(), MAX_BODY_BYTES).await.map_err(|_| DropError::BodyTooLarge)?;
        if body.is_empty() {
            return Ok(Self(Map::new()));
        }
        if !is_json {
            return Err(DropError::WrongContentType);
        }
        match serde_json::from_slice(&body) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            Ok(_) => Err(DropError::MalformedBody("it is not a JSON object".into())),
            Err(error) => Err(DropError::MalformedBody(format!("it is not JSON ({error})"))),
        }
    }
}

impl Fields {
    /// The first of `names` that is present, as the caller spelled it; `null` counts as absent.
    pub(super) fn get<'n>(&self, names: &[&'n str]) -> Option<(&'n str, &Value)> {
        let found = names.iter().filter_map(|name| Some((*name, self.0.get(*name)?)));
        found.into_iter().find(|(_, value)| !value.is_null())
    }

    /// How the caller spells a field; the documented spelling if it is absent.
    pub(super) fn spelling<'n>(&self, names: &[&'n str]) -> &'n str {
        self.get(names).map_or(names[0], |(name, _)| name)
    }

    pub(super) fn required<T>(&self, name: &str, value: Option<T>) -> Result<T, DropError> {
        value.ok_or_else(|| DropError::invalid(name, "is missing"))
    }

    pub(super) fn text(&self, names: &[&str]) -> Result<Option<&str>, DropError> {
        let Some((name, value)) = self.get(names) else { return Ok(None) };
        value.as_str().map(Some).ok_or_else(|| DropError::invalid(name, "must be text"))
    }

    pub(super) fn id(&self, names: &[&str]) -> Result<Option<i64>, DropError> {
        let Some((name, value)) = self.get(names) else { return Ok(None) };
        let id = value.as_i64().filter(|id| *id >= 1);
        id.map(Some).ok_or_else(|| DropError::invalid(name, ID_EXPECTED))
    }

    pub(super) fn integer(
        &self,
        names: &[&str],
        range: std::ops::RangeInclusive<i64>,
    ) -> Result<Option<i64>, DropError> {
        let Some((name, value)) = self.get(names) else { return Ok(None) };
        let integer = value.as_i64().filter(|integer| range.contains(integer));
        integer.map(Some).ok_or_else(|| {
            DropError::invalid(name, format!("must be a whole number from {} to {}", range.start(), range.end()))
        })
    }

    pub(super) fn time(&self, names: &[&str]) -> Result<Option<DateTime<Utc>>, DropError> {
        let Some((name, value)) = self.get(names) else { return Ok(None) };
        let time = value.as_str().and_then(|time| DateTime::parse_from_rfc3339(time).ok());
        let time = time.ok_or_else(|| DropError::invalid(name, "must be a time such as 2030-01-31T18:00:00Z"))?;
        Ok(Some(time.to_utc()))
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("application/json")
}
