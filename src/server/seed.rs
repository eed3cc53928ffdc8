//! Sample users and drops for a new shop.

use super::{
    auth::{
        accounts::{self, Proof},
        caller::Caller,
    },
    database::{error::fault, guard::PoolGuard},
    inventory::{self, Actor, Description, NewDrop, NewSize, SaleWindow},
    state::AppState,
};
use crate::domain::error::DropError;
use chrono::TimeDelta;
use std::fmt::Debug;

/// Inserts the sample data unless there are drops. Of several nodes that start at the same time, one does it.
pub(crate) async fn seed(state: &AppState) -> Result<(), DropError> {
    let mut transaction = PoolGuard::begin(&state.pool).await.map_err(fault)?;
    sqlx::query!("select pg_advisory_xact_lock(hashtext('sneakdrop seed'))")
        .execute(&mut *transaction)
        .await
        .map_err(fault)?;
    // Also drafts and archived ones, which the catalog does not have.
    let has_drops = sqlx::query_scalar!(r#"select exists (select from drops) as "exists!""#);
    if has_drops.fetch_one(&mut *transaction).await.map_err(fault)? {
        return Ok(());
    }
    for username in ["ada", "linus", "grace"] {
        accounts::get_or_create(state, &Caller::default(), username, Proof::Token).await?;
    }
    for sample in &SAMPLES {
        let sizes = sample.sizes.iter();
        let sizes =
            sizes.map(|(label, stock)| NewSize { label: valid((*label).to_owned()), stock: valid(i64::from(*stock)) });
        let starts_at = state.clock.now() + TimeDelta::minutes(sample.opens_in_minutes);
        let new = NewDrop {
            name: valid(sample.name.to_owned()),
            description: Description::default(),
            price: valid(i64::from(sample.price_cents)),
            image_url: Some(valid(format!("/shoes/{}.svg", sample.art))),
            limit_per_user: sample.limit.map(|limit| valid(i64::from(limit))),
            sale: SaleWindow::starting(starts_at),
            sizes: valid(sizes.collect::<Vec<_>>()),
            is_draft: false,
            idempotency_key: None,
        };
        inventory::insert(&mut transaction, new, Actor::Seed).await.map_err(fault)?;
    }
    transaction.commit().await.map_err(fault)?;
    transaction.put_back();
    state.catalog.reconcile(&state.pool, &state.clock).await?;
    tracing::info!(drops = SAMPLES.len(), "sample data inserted");
    Ok(())
}

fn valid<V, T: TryFrom<V, Error: Debug>>(sample: V) -> T {
    sample.try_into().expect("the samples are valid")
}

/// The pictures are in `public/shoes`.
const SAMPLES: [Sample; 8] = [
    Sample {
        opens_in_minutes: 0,
        limit: Some(1),
        ..Sample::new("Volt Runner", "volt-runner.dd12f4b1", 19_900, US_SIZES)
    },
    Sample {
        opens_in_minutes: 0,
        limit: None,
        ..Sample::new("Court 76", "court-76.64eb65e6", 12_900, &[("One size", 100)])
    },
    Sample { opens_in_minutes: 0, limit: Some(2), ..Sample::new("High Rise", "high-rise.06661e17", 24_900, US_SIZES) },
    Sample {
        opens_in_minutes: 0,
        limit: Some(1),
        ..Sample::new("Halo Air", "halo-air.a62842e5", 28_000, &[("One size", 3)])
    },
    Sample { opens_in_minutes: 0, limit: None, ..Sample::new("Slab Skate", "slab-skate.c3dba8bb", 8_900, FEW_SIZES) },
    Sample {
        opens_in_minutes: 3,
        limit: Some(1),
        ..Sample::new("Ridge Trail", "ridge-trail.1ce6834f", 17_500, US_SIZES)
    },
    Sample {
        opens_in_minutes: 120,
        limit: None,
        ..Sample::new("Pace Retro", "pace-retro.b8999a40", 14_950, FEW_SIZES)
    },
    Sample {
        opens_in_minutes: 2_880,
        limit: Some(1),
        ..Sample::new("Cloud Slip", "cloud-slip.d4e51da5", 11_000, US_SIZES)
    },
];

const US_SIZES: &[(&str, i32)] = &[
    ("US 7", 4),
    ("US 8", 12),
    ("US 8.5", 8),
    ("US 9", 24),
    ("US 9.5", 16),
    ("US 10", 20),
    ("US 11", 12),
    ("US 12", 4),
];
const FEW_SIZES: &[(&str, i32)] = &[("S", 2), ("M", 5), ("L", 3)];

struct Sample {
    name: &'static str,
    art: &'static str,
    price_cents: i32,
    sizes: &'static [(&'static str, i32)],
    limit: Option<i32>,
    opens_in_minutes: i64,
}

impl Sample {
    const fn new(
        name: &'static str,
        art: &'static str,
        price_cents: i32,
        sizes: &'static [(&'static str, i32)],
    ) -> Self {
        Self { name, art, price_cents, sizes, limit: None, opens_in_minutes: 0 }
    }
}
