//! The REST API: JSON in, JSON out, the same inventory calls as the pages.
//!
//! Bodies are read leniently in shape (either spelling, numbers or their legacy names) and strictly in value: whatever is
//! wrong is answered with the field's name as the caller spelled it, before anything is changed.

use super::{
    AppState,
    accounts::{self, is_invisible},
    inventory::{self, Granted, NewDrop, NewSize, Purchased, Released, Target},
    session::{self, Caller},
};
use crate::{
    domain::error::{DropError, Missing},
    domain::{Purchase, Reservation, SneakerDrop, User},
};
use axum::{
    Json, Router,
    body::to_bytes,
    extract::{FromRequest, FromRequestParts, Path, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use std::collections::HashSet;

/// The largest body we read.
pub(crate) const MAX_BODY_BYTES: usize = 64 * 1024;

const MAX_PRICE_CENTS: i64 = 100_000_000;
const MAX_STOCK: i64 = 1_000_000;
const MAX_SIZES: usize = 50;
const MAX_NAME_CHARS: usize = 100;
const MAX_LABEL_CHARS: usize = 20;
const MAX_URL_CHARS: usize = 2_048;

/// Our spelling first, then those of the systems that this one replaces.
const ENDS_AT: &[&str] = &["endsAt", "ends_at", "endTime", "end_time"];
const IMAGE_URL: &[&str] = &["imageUrl", "image_url"];
const TOTAL_STOCK: &[&str] = &["totalStock", "total_stock"];

/// Everything under `/api`.
pub(crate) fn routes() -> Router<AppState> {
    Router::new()
        .route("/drops", get(list_drops).post(create_drop))
        .route("/drops/create", post(create_drop))
        .route("/users/get-or-create", post(get_or_create_user))
        .route("/drops/reserve", post(reserve))
        .route("/drops/{drop_id}/reserve", post(reserve_of_drop))
        .route("/drops/purchase", post(purchase))
        .route("/drops/{drop_id}/purchase", post(purchase_of_drop))
        .route("/drops/{drop_id}/reservation", delete(release))
        .fallback(async || DropError::NotFound(Missing::Path))
        .method_not_allowed_fallback(async || DropError::MethodNotAllowed)
}

async fn list_drops(State(state): State<AppState>, headers: HeaderMap) -> Response {
    let (body, etag) = state.listing.get(&state.catalog);
    let known = headers.get_all(header::IF_NONE_MATCH).iter().any(|known| is_listed(known, &etag));
    let headers = [(header::ETAG, etag), (header::CACHE_CONTROL, HeaderValue::from_static("no-cache"))];
    if known {
        (StatusCode::NOT_MODIFIED, headers).into_response()
    } else {
        (headers, [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
    }
}

/// Whether an `If-None-Match` names a tag.
fn is_listed(known: &HeaderValue, etag: &HeaderValue) -> bool {
    let (Ok(known), Ok(etag)) = (known.to_str(), etag.to_str()) else { return false };
    known.split(',').any(|known| ["*", etag].contains(&known.trim()))
}

async fn create_drop(State(state): State<AppState>, caller: Caller, body: Fields) -> Result<Response, DropError> {
    if !caller.is_admin {
        return Err(DropError::Unauthorized);
    }
    let drop: SneakerDrop = inventory::create(&state, new_drop(&body, state.catalog.now())?).await?;
    Ok((StatusCode::CREATED, Json(json!({ "drop": drop }))).into_response())
}

async fn get_or_create_user(
    State(state): State<AppState>,
    caller: Caller,
    body: Fields,
) -> Result<Response, DropError> {
    let username = body.required("username", body.text(&["username"])?)?;
    let account = accounts::get_or_create(&state, &caller, username).await?;
    let user: User = account.user;
    if !account.is_callers {
        return Ok(Json(json!({ "user": user })).into_response());
    }
    let token = session::token(&state.session_key, &user);
    let mut response = Json(json!({ "user": user, "token": token })).into_response();
    for cookie in caller.sign_in_cookies(&state, &user) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

async fn reserve_of_drop(
    State(state): State<AppState>,
    DropId(drop_id): DropId,
    caller: Caller,
    body: Fields,
) -> Result<Response, DropError> {
    let user_id = acting_user(&state, &caller, &body).await?;
    let size = body.text(&["size"])?.map(str::to_owned);
    let Granted { reservation, new_stock, was_held } = inventory::reserve(&state, user_id, drop_id, size).await?;
    let reservation: Reservation = reservation;
    let status = if was_held { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, Json(json!({ "reservation": reservation, "newStock": new_stock }))).into_response())
}

async fn reserve(state: State<AppState>, caller: Caller, body: Fields) -> Result<Response, DropError> {
    let drop_id = body.required("dropId", body.id(&["dropId", "drop_id"])?)?;
    reserve_of_drop(state, DropId(drop_id), caller, body).await
}

async fn purchase_of_drop(
    State(state): State<AppState>,
    DropId(drop_id): DropId,
    caller: Caller,
    body: Fields,
) -> Result<Json<Value>, DropError> {
    let user_id = acting_user(&state, &caller, &body).await?;
    buy(&state, user_id, Target::Drop(drop_id)).await
}

async fn purchase(State(state): State<AppState>, caller: Caller, body: Fields) -> Result<Json<Value>, DropError> {
    let user_id = acting_user(&state, &caller, &body).await?;
    let reservation_id = body.required("reservationId", body.id(&["reservationId", "reservation_id"])?)?;
    buy(&state, user_id, Target::Reservation(reservation_id)).await
}

async fn buy(state: &AppState, user_id: i64, target: Target) -> Result<Json<Value>, DropError> {
    let Purchased { purchase, new_stock, purchaser } = inventory::purchase(state, user_id, target).await?;
    let purchase: Purchase = purchase;
    Ok(Json(json!({ "purchase": purchase, "newStock": new_stock, "purchaser": purchaser })))
}

async fn release(
    State(state): State<AppState>,
    DropId(drop_id): DropId,
    caller: Caller,
    body: Fields,
) -> Result<Json<Value>, DropError> {
    let user_id = acting_user(&state, &caller, &body).await?;
    let Released { new_stock, .. } = inventory::release(&state, user_id, drop_id).await?;
    Ok(Json(json!({ "newStock": new_stock })))
}

/// Whose pair it is: the caller's own, or with the admin token that of the user whom the body names.
async fn acting_user(state: &AppState, caller: &Caller, body: &Fields) -> Result<i64, DropError> {
    let named = body.id(&["userId", "user_id"])?;
    if caller.is_admin {
        let user_id = body.required("userId", named)?;
        return if accounts::exists(&state.pool, user_id).await? {
            Ok(user_id)
        } else {
            Err(DropError::NotFound(Missing::User))
        };
    }
    let user = caller.require_user()?;
    match named {
        Some(named) if named != user.id => Err(DropError::Forbidden),
        _ => Ok(user.id),
    }
}

fn new_drop(body: &Fields, now: DateTime<Utc>) -> Result<NewDrop, DropError> {
    let name = body.required("name", body.text(&["name"])?)?;
    let starts_at = body.time(&["startsAt", "starts_at", "startTime", "start_time"])?;
    let ends_at = body.time(ENDS_AT)?;
    if ends_at.is_some_and(|ends_at| ends_at <= starts_at.unwrap_or(now)) {
        return Err(DropError::invalid(body.spelling(ENDS_AT), "must be after the start"));
    }
    Ok(NewDrop {
        name: checked_label("name", name, MAX_NAME_CHARS)?,
        price_cents: price_cents(body)?,
        image_url: body.text(IMAGE_URL)?.map(|url| image_url(body.spelling(IMAGE_URL), url)).transpose()?,
        limit_per_user: body.integer(&["limitPerUser", "limit_per_user"], 1..=MAX_STOCK)?.map(|limit| limit as i32),
        starts_at,
        ends_at,
        sizes: sizes(body)?,
    })
}

fn price_cents(body: &Fields) -> Result<i32, DropError> {
    if let Some(cents) = body.integer(&["priceCents", "price_cents"], 0..=MAX_PRICE_CENTS)? {
        return Ok(cents as i32);
    }
    let expected = || DropError::invalid("price", "must be dollars from 0 to 1000000 with at most two decimals");
    // serde_json prints a number as shortly as it can be read back, so that 19.99 is "19.99" and never 1998.
    let dollars = match body.get(&["price"]) {
        None => return Err(DropError::invalid("priceCents", "is missing")),
        Some((_, Value::Number(number))) => number.to_string(),
        Some((_, Value::String(text))) => text.trim().to_owned(),
        Some(_) => return Err(expected()),
    };
    let (whole, fraction) = dollars.split_once('.').unwrap_or((&dollars, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) || fraction.len() > 2 {
        return Err(expected());
    }
    let cents = format!("{whole}{fraction:0<2}").parse::<i64>().map_err(|_| expected())?;
    if cents <= MAX_PRICE_CENTS { Ok(cents as i32) } else { Err(expected()) }
}

fn sizes(body: &Fields) -> Result<Vec<NewSize>, DropError> {
    let total = body.integer(TOTAL_STOCK, 1..=MAX_STOCK)?;
    let Some((_, sizes)) = body.get(&["sizes"]) else {
        let stock = body.required(TOTAL_STOCK[0], total)?;
        return Ok(vec![NewSize::one(stock as i32)]);
    };
    if total.is_some() {
        return Err(DropError::invalid(body.spelling(TOTAL_STOCK), "is the sum of sizes; send one or the other"));
    }
    let sizes = sizes.as_array().filter(|sizes| (1..=MAX_SIZES).contains(&sizes.len()));
    let sizes = sizes.ok_or_else(|| DropError::invalid("sizes", "must be a list of 1 to 50 sizes"))?;
    let mut seen = HashSet::new();
    let mut new = vec![];
    let mut sum = 0;
    for (index, size) in sizes.iter().enumerate() {
        let at = |field: &str| format!("sizes[{index}].{field}");
        let size = size
            .as_object()
            .ok_or_else(|| DropError::invalid(format!("sizes[{index}]"), "must be an object with label and stock"))?;
        let size = Fields(size.clone());
        let within = |error| match error {
            DropError::Invalid { field, expected } => DropError::Invalid { field: at(&field), expected },
            other => other,
        };
        let label = size.text(&["label"]).and_then(|label| size.required("label", label)).map_err(within)?;
        let label = checked_label("label", label, MAX_LABEL_CHARS).map_err(within)?;
        let stock = size.integer(&["stock"], 1..=MAX_STOCK);
        let stock = stock.and_then(|stock| size.required("stock", stock)).map_err(within)?;
        if !seen.insert(label.to_lowercase()) {
            return Err(DropError::invalid(at("label"), "is there twice"));
        }
        sum += stock;
        new.push(NewSize { label, stock: stock as i32 });
    }
    if sum > MAX_STOCK {
        return Err(DropError::invalid("sizes", "must not add up to more than 1000000 pairs"));
    }
    Ok(new)
}

/// Text that is shown on one line: trimmed, not blank, not too long, without control characters.
fn checked_label(field: &str, text: &str, most_chars: usize) -> Result<String, DropError> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > most_chars || text.chars().any(|c| c.is_control() || is_invisible(c)) {
        let expected = format!("must be 1 to {most_chars} characters without control characters");
        return Err(DropError::invalid(field, expected));
    }
    Ok(text.into())
}

/// An `https` address with a host, or a path on this server.
fn image_url(field: &str, url: &str) -> Result<String, DropError> {
    let is_plain = url.chars().count() <= MAX_URL_CHARS
        && url.chars().all(|c| !c.is_control() && !c.is_whitespace() && !matches!(c, '\\' | '"' | '<' | '>'));
    let is_remote = url
        .strip_prefix("https://")
        .and_then(|rest| rest.split(['/', '?', '#']).next())
        .is_some_and(|host| !host.is_empty() && !host.contains('@'));
    let is_ours = url.starts_with('/') && !url.starts_with("//");
    if is_plain && (is_remote || is_ours) {
        Ok(url.into())
    } else {
        Err(DropError::invalid(field, "must be an https address or a path that begins with one slash"))
    }
}

/// The `{dropId}` of a path.
struct DropId(i64);

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
struct Fields(Map<String, Value>);

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
    /// The first of `names` that is there, as the caller spelled it; `null` counts as absent.
    fn get<'n>(&self, names: &[&'n str]) -> Option<(&'n str, &Value)> {
        let found = names.iter().filter_map(|name| Some((*name, self.0.get(*name)?)));
        found.into_iter().find(|(_, value)| !value.is_null())
    }

    /// How the caller spells a field; ours if they don't.
    fn spelling<'n>(&self, names: &[&'n str]) -> &'n str {
        self.get(names).map_or(names[0], |(name, _)| name)
    }

    fn required<T>(&self, name: &str, value: Option<T>) -> Result<T, DropError> {
        value.ok_or_else(|| DropError::invalid(name, "is missing"))
    }

    fn text(&self, names: &[&str]) -> Result<Option<&str>, DropError> {
        let Some((name, value)) = self.get(names) else { return Ok(None) };
        value.as_str().map(Some).ok_or_else(|| DropError::invalid(name, "must be text"))
    }

    fn id(&self, names: &[&str]) -> Result<Option<i64>, DropError> {
        let Some((name, value)) = self.get(names) else { return Ok(None) };
        let id = value.as_i64().filter(|id| *id >= 1);
        id.map(Some).ok_or_else(|| DropError::invalid(name, ID_EXPECTED))
    }

    fn integer(&self, names: &[&str], range: std::ops::RangeInclusive<i64>) -> Result<Option<i64>, DropError> {
        let Some((name, value)) = self.get(names) else { return Ok(None) };
        let integer = value.as_i64().filter(|integer| range.contains(integer));
        integer.map(Some).ok_or_else(|| {
            DropError::invalid(name, format!("must be a whole number from {} to {}", range.start(), range.end()))
        })
    }

    fn time(&self, names: &[&str]) -> Result<Option<DateTime<Utc>>, DropError> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(value: Value) -> Fields {
        match value {
            Value::Object(fields) => Fields(fields),
            other => panic!("{other} is not an object"),
        }
    }

    #[test]
    fn decimal_dollars_become_exact_cents() {
        for (price, cents) in [
            (json!(19.99), 1_999),
            (json!(0.29), 29),
            (json!(1.1), 110),
            (json!(250), 25_000),
            (json!("1.15"), 115),
            (json!(1_000_000), 100_000_000),
            (json!(0), 0),
        ] {
            assert_eq!(price_cents(&fields(json!({ "price": price }))), Ok(cents));
        }
        for bad in [json!(1.999), json!(-1), json!(1_000_000.01), json!("1e3"), json!("."), json!(true), json!(1e30)] {
            assert!(price_cents(&fields(json!({ "price": bad }))).is_err(), "{bad}");
        }
    }

    #[test]
    fn images_come_over_https_or_from_us() {
        for fine in ["https://cdn.test/a.webp?x=1", "/shoes/volt-runner.svg"] {
            assert!(image_url("imageUrl", fine).is_ok(), "{fine}");
        }
        for bad in [
            "",
            "http://cdn.test/a",
            "//cdn.test/a",
            "javascript:alert(1)",
            "https://",
            "https:///a",
            "a.svg",
            "/a b",
            "/\\cdn.test",
            "https://a@cdn.test/",
            "data:image/png;base64,AA",
        ] {
            assert!(image_url("imageUrl", bad).is_err(), "{bad}");
        }
    }
}
