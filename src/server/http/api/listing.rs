//! The response to `GET /api/drops`, cached for all requests.

use super::dialect2;
use crate::{
    domain::SneakerDrop,
    server::{catalog::Catalog, config::Dialect, http::etag::etag},
};
use axum::body::Bytes;
use chrono::{DateTime, Utc};
use headers::ETag;
use serde::Serialize;
use std::sync::{Mutex, PoisonError};

/// The response in either shape, valid until the catalog changes or a drop starts or ends.
#[derive(Default)]
pub struct ListingCache {
    ours: Mutex<Option<Listing>>,
    second: Mutex<Option<Listing>>,
}

#[derive(Serialize)]
struct ListDropsResponse {
    drops: Vec<SneakerDrop>,
}

struct Listing {
    revision: u64,
    valid_until: Option<DateTime<Utc>>,
    body: Bytes,
    etag: ETag,
}

impl ListingCache {
    /// The body and its `ETag`.
    pub(crate) fn get(&self, dialect: Dialect, catalog: &Catalog, now: DateTime<Utc>) -> (Bytes, ETag) {
        let revision = catalog.revision();
        let cache = match dialect {
            Dialect::One => &self.ours,
            Dialect::Two => &self.second,
        };
        let mut listing = cache.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = match listing.take() {
            Some(cached) if cached.revision == revision && cached.valid_until.is_none_or(|until| now < until) => cached,
            _ => Listing::new(dialect, catalog.drops(), revision, now),
        };
        let Listing { body, etag, .. } = listing.insert(fresh);
        (body.clone(), etag.clone())
    }
}

impl Listing {
    /// Lists the drops that have started and not ended, and have stock; the second system listed all.
    fn new(dialect: Dialect, mut drops: Vec<SneakerDrop>, revision: u64, now: DateTime<Utc>) -> Self {
        let changes = drops.iter().flat_map(|drop| [Some(drop.starts_at), drop.ends_at]).flatten();
        let valid_until = changes.map(|change| *change).filter(|change| now < *change).min();
        let body = match dialect {
            Dialect::One => {
                drops.retain(|drop| drop.is_open(now) && drop.available_stock > 0);
                serde_json::to_vec(&ListDropsResponse { drops })
            }
            Dialect::Two => serde_json::to_vec(&drops.into_iter().map(dialect2::Drop::from).collect::<Vec<_>>()),
        };
        let body = body.expect("a drop is JSON");
        let etag = etag(&body);
        Self { revision, valid_until, body: body.into(), etag }
    }
}
