//! `/admin`: every drop that there is, newest first, also drafts, what is over and what is archived.

use super::{
    document::{Place, document, error_page, moments},
    purchases::find_order,
    status::{DeskStatus, StatusFacts},
    zone::Zone,
};
use crate::{
    domain::{error::DropError, read_id},
    server::{
        catalog::DropStatus,
        database::{
            Pool,
            error::{fault, with_timeout},
            guard::PoolGuard,
        },
        http::query::{before, query},
        state::AppState,
    },
    text::{self, desk},
};
use axum::{extract::State, http::Uri, response::Response};
use chrono::{DateTime, Utc};
use leptos::{either::Either, prelude::*};

pub(super) async fn list(State(state): State<AppState>, zone: Zone, uri: Uri) -> Response {
    let show = query(&uri).remove("show").filter(|show| SHOWS.iter().any(|(name, _)| name == show)).unwrap_or_default();
    let now = state.clock.now();
    let before = match before(&uri, read_id) {
        Ok(before) => before,
        Err(error) => return error_page(&state, &error),
    };
    match read(&state.pool, &show, before, now).await {
        Ok(ListedDrops { drops, .. }) if drops.is_empty() && show.is_empty() && before.is_none() => {
            document(&state, Place::Drops, empty_shop())
        }
        Ok(drops) => document(&state, Place::Drops, content(drops, &show, zone, now)),
        Err(error) => error_page(&state, &error),
    }
}

/// What the list can show, by its name in the address; the first is everything.
const SHOWS: [(&str, &str); 6] = [
    ("", desk::ALL),
    ("draft", desk::DRAFTS),
    ("live", desk::LIVE),
    ("upcoming", text::UPCOMING),
    ("over", text::OVER),
    ("archived", desk::ARCHIVED),
];

/// One page of the list.
struct ListedDrops {
    drops: Vec<ListedDrop>,
    /// The query of the next page, if there are older drops.
    older: Option<String>,
}

struct ListedDrop {
    id: i64,
    name: String,
    status: DropStatus,
    is_paused: bool,
    price_cents: i32,
    starts_at: DateTime<Utc>,
    ends_at: Option<DateTime<Utc>>,
    sold_out_since: Option<DateTime<Utc>>,
    available_stock: i32,
    held_stock: i32,
    total_stock: i32,
}

/// The drops before the one with an id, or the newest. What is published is upcoming, live (also if paused) or over. Sold is
/// what is neither available nor held, so no purchase is read.
async fn read(pool: &Pool, show: &str, before: Option<i64>, now: DateTime<Utc>) -> Result<ListedDrops, DropError> {
    let drops = sqlx::query_as!(
        ListedDrop,
        r#"select d.id, d.name, d.status as "status: DropStatus", d.is_paused, d.price_cents, d.starts_at, d.ends_at, d.sold_out_since,
                  s.available as "available_stock!", s.held as "held_stock!", s.total as "total_stock!"
           from drops d cross join lateral (
               select coalesce(sum(available_stock), 0)::integer as available,
                      coalesce(sum(held_stock), 0)::integer as held,
                      coalesce(sum(total_stock), 0)::integer as total
               from drop_sizes where drop_id = d.id
           ) s
           where d.id < $1 and case $2::text
               when 'draft' then d.status = 'draft'
               when 'archived' then d.status = 'archived'
               when 'upcoming' then d.status = 'published' and d.starts_at > $3
               when 'live' then d.status = 'published' and d.starts_at <= $3 and coalesce(d.past_since > $3, true)
               when 'over' then d.status = 'published' and d.starts_at <= $3 and d.past_since <= $3
               else true
           end
           order by d.id desc limit $4"#,
        before.unwrap_or(i64::MAX),
        show,
        now,
        LISTED_DROPS as i64 + 1
    );
    let mut connection = PoolGuard::acquire(pool).await.map_err(fault)?;
    let mut drops = with_timeout(drops.fetch_all(&mut *connection)).await?;
    connection.put_back();
    let has_older = drops.len() > LISTED_DROPS;
    drops.truncate(LISTED_DROPS);
    let shown = if show.is_empty() { String::new() } else { format!("&show={show}") };
    let older = drops.last().filter(|_| has_older).map(|drop| format!("before={}{shown}", drop.id));
    Ok(ListedDrops { drops, older })
}

/// How many drops one page lists.
const LISTED_DROPS: usize = 50;

fn empty_shop() -> impl IntoView {
    view! {
        <h1 data-follow="">{text::DROPS}</h1>
        <p class="empty">{desk::NO_DROPS}</p>
        <a class="primary" href="/admin/drops/new">
            {desk::NEW_DROP}
        </a>
    }
}

fn content(
    ListedDrops { drops, older }: ListedDrops,
    show: &str,
    zone: Zone,
    now: DateTime<Utc>,
) -> impl IntoView + use<> {
    let (now_text, next) = moments(now, drops.iter().flat_map(|drop| [Some(drop.starts_at), drop.ends_at]).flatten());
    let list = match drops.is_empty() {
        true => Either::Left(view! { <p class="empty">{text::NOTHING_MATCHES}</p> }),
        false => Either::Right(table(drops, zone, now)),
    };
    view! {
        <div class="heading" data-follow="" data-now=now_text data-next=next>
            <h1 id="drops">{text::DROPS}</h1>
            {find_order("")}
            {filter(show)}
        </div>
        {list}
        {older
            .map(|query| {
                view! {
                    <a class="secondary" href=format!("/admin?{query}")>
                        {text::OLDER}
                    </a>
                }
            })}
    }
}

fn filter(show: &str) -> impl IntoView + use<> {
    let options = SHOWS.map(|(name, label)| {
        view! {
            <option value=name selected=name == show>
                {label}
            </option>
        }
    });
    view! {
        <form class="filters" method="get" action="/admin">
            <label class="visually-hidden" for="show">
                {text::SHOW}
            </label>
            <select id="show" name="show">
                {options.collect_view()}
            </select>
            <button class="secondary">{text::FILTER}</button>
        </form>
    }
}

/// On narrow screens each row becomes a block, and the roles keep it a table for screen readers.
fn table(drops: Vec<ListedDrop>, zone: Zone, now: DateTime<Utc>) -> impl IntoView {
    let columns = [(desk::DROP, None), (text::STATUS, None), (desk::PRICE, Some("number")), (desk::START, None)];
    let counts = [desk::AVAILABLE, desk::HELD, desk::SOLD, text::TOTAL].map(|name| (name, Some("number")));
    let columns = columns.into_iter().chain(counts).map(|(name, class)| {
        view! {
            <th scope="col" role="columnheader" class=class>
                {name}
            </th>
        }
    });
    view! {
        <table class="list drop-list" role="table" aria-labelledby="drops">
            <thead role="rowgroup">
                <tr role="row">{columns.collect_view()}</tr>
            </thead>
            <tbody role="rowgroup">{drops.into_iter().map(|drop| row(drop, zone, now)).collect_view()}</tbody>
        </table>
    }
}

fn row(drop: ListedDrop, zone: Zone, now: DateTime<Utc>) -> impl IntoView {
    let ListedDrop { id, name, status, is_paused, price_cents, starts_at, ends_at, sold_out_since, .. } = drop;
    let ListedDrop { available_stock, held_stock, total_stock, .. } = drop;
    let status = DeskStatus::at(now, &StatusFacts { status, is_paused, starts_at, ends_at, sold_out_since });
    let stock = [
        (desk::AVAILABLE, available_stock),
        (desk::HELD, held_stock),
        (desk::SOLD, total_stock - available_stock - held_stock),
        (text::TOTAL, total_stock),
    ];
    let stock = stock.map(|(name, pairs)| {
        view! {
            <td role="cell" class="number count" data-column=name>
                {desk::count(pairs)}
            </td>
        }
    });
    view! {
        <tr id=format!("drop-{id}") role="row">
            <th scope="row" role="rowheader">
                <a href=format!("/admin/drops/{id}")>
                    <bdi>{name}</bdi>
                </a>
            </th>
            <td role="cell">{status.badge()}</td>
            <td role="cell" class="number">
                {text::price(price_cents)}
            </td>
            <td role="cell" class="start" data-column=desk::START>
                {zone.time(starts_at.into())}
            </td>
            {stock.collect_view()}
        </tr>
    }
}
