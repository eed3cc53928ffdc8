//! What stands at addresses that lead nowhere: a way back, and what is live.

use super::row::live;
use crate::{domain::SneakerDrop, ui::pages::not_found::NotFound};
use chrono::{DateTime, Utc};
use leptos::prelude::*;

pub(super) fn content(drops: &[SneakerDrop], now: DateTime<Utc>) -> impl IntoView + use<> {
    view! {
        <NotFound />
        <section class="rows">{live(drops, now)}</section>
    }
}
