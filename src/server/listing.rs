//! The answer to `GET /api/drops`, made once for all who ask.

use super::catalog::Catalog;
use crate::domain::SneakerDrop;
use axum::{body::Bytes, http::HeaderValue};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use chrono::{DateTime, Utc};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::sync::{Mutex, PoisonError};

/// The answer, kept until the catalog changes, or time opens or ends a drop.
#[derive(Default)]
pub struct ListingCache(Mutex<Option<Listing>>);

struct Listing {
    revision: u64,
    valid_until: Option<DateTime<Utc>>,
    body: Bytes,
    /// Of the contents, so that nodes agree; weak, as the answer may be compressed.
    etag: HeaderValue,
}

impl ListingCache {
    /// The body and its tag.
    pub(crate) fn get(&self, catalog: &Catalog) -> (Bytes, HeaderValue) {
        let (revision, now) = (catalog.revision(), catalog.now());
        let mut listing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = match listing.take() {
            Some(it) if it.revision == revision && it.valid_until.is_none_or(|until| now < until) => it,
            _ => Listing::new(catalog.drops(), revision, now),
        };
        let Listing { body, etag, .. } = listing.insert(fresh);
        (body.clone(), etag.clone())
    }
}

impl Listing {
    /// Lists the drops that can be reserved from at `now`: in their window, with stock left.
    fn new(mut drops: Vec<SneakerDrop>, revision: u64, now: DateTime<Utc>) -> Self {
        let turns = drops.iter().flat_map(|drop| [Some(drop.starts_at), drop.ends_at]).flatten();
        let valid_until = turns.filter(|turn| now < *turn).min();
        drops.retain(|drop| drop.is_open(now) && drop.available_stock > 0);
        let body = Bytes::from(json!({ "drops": drops }).to_string());
        let etag = format!("W/\"{}\"", BASE64.encode(Sha256::digest(&body)));
        let etag = HeaderValue::try_from(etag).expect("base64 fits into a header");
        Self { revision, valid_until, body, etag }
    }
}
