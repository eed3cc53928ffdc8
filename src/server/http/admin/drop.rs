//! `/admin/drops/{id}`: what a drop is, and what can be done with it.

use super::{
    document::{Place, document, error_page, moments},
    drop_id::DropId,
    form::Form,
    status::DeskStatus,
    zone::Zone,
};
use crate::{
    domain::{
        SneakerDrop,
        edit::EditError,
        error::{DropError, Missing},
    },
    server::{
        auth::admin::AdminSession,
        board::{self, Board, Period},
        catalog::{Catalog, DropStatus, ManagedDrop},
        http::query::query,
        inventory::{self, Action, Actor, Edit, Label, Move, Pairs, PairsMoved},
        state::AppState,
        whole_number::NumberOrText,
    },
    text::{self, desk},
};
use axum::{
    extract::{Path, State},
    http::{StatusCode, Uri},
    response::{IntoResponse, Redirect, Response},
};
use chrono::{DateTime, Utc};
use leptos::{either::Either, prelude::*};
use serde::Deserialize;
use std::time::Duration;
use tokio::time::timeout;

/// `GET /admin/drops/{id}`; its board shows a part of the time with `?period=`.
pub(super) async fn page(State(state): State<AppState>, zone: Zone, DropId(id): DropId, uri: Uri) -> Response {
    let period = Period::named(query(&uri).get("period").map(String::as_str));
    show(&state, zone, id, period, None).await
}

/// `POST /admin/drops/{id}/{action}`
pub(super) async fn act(
    State(state): State<AppState>,
    session: AdminSession,
    zone: Zone,
    DropId(id): DropId,
    Path((_, action)): Path<(String, String)>,
) -> Response {
    match action_named(&action) {
        Some(action) => edit(&state, session, zone, id, None, action).await,
        None => DropError::NotFound(Missing::Path).into_response(),
    }
}

/// `GET /admin/drops/{id}/{action}`
pub(super) async fn to_the_buttons(
    State(state): State<AppState>,
    DropId(id): DropId,
    Path((_, action)): Path<(String, String)>,
) -> Response {
    match action_named(&action) {
        Some(_) => Redirect::to(&format!("/admin/drops/{id}")).into_response(),
        None => error_page(&state, &DropError::NotFound(Missing::Path)),
    }
}

fn action_named(name: &str) -> Option<Action> {
    match name {
        "publish" => Some(Action::Publish),
        "unpublish" => Some(Action::Unpublish),
        "pause" => Some(Action::Pause),
        "resume" => Some(Action::Resume),
        "end" => Some(Action::EndNow),
        "archive" => Some(Action::Archive),
        _ => None,
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MovePairsForm {
    /// So that a form that is sent twice moves no more pairs.
    edit_version: i64,
    size: String,
    pairs: String,
    #[serde(rename = "do")]
    button: String,
}

/// `POST /admin/drops/{id}/stock`
pub(super) async fn move_pairs(
    State(state): State<AppState>,
    session: AdminSession,
    zone: Zone,
    DropId(id): DropId,
    Form(form): Form<MovePairsForm>,
) -> Response {
    let kind = match &*form.button {
        "takeBack" => Move::TakeBack,
        "addSize" => Move::AddSize,
        _ => Move::Add,
    };
    let size = Label::try_from(form.size).map_err(|expected| DropError::invalid("size", expected));
    let pairs = Pairs::try_from(NumberOrText::Text(form.pairs.trim().to_owned()));
    let pairs = pairs.map_err(|expected| DropError::invalid("pairs", expected));
    let moved = size.and_then(|size| Ok(PairsMoved { size, pairs: pairs?, kind }));
    let action = match moved {
        Ok(moved) => Action::Stock(moved),
        Err(error) => return show(&state, zone, id, Period::All, Some(&error.into())).await,
    };
    edit(&state, session, zone, id, Some(form.edit_version), action).await
}

async fn edit(
    state: &AppState,
    session: AdminSession,
    zone: Zone,
    id: i64,
    expected: Option<i64>,
    action: Action,
) -> Response {
    let edit = Edit { actor: Actor::Session(session.id), expected, action };
    match inventory::edit(&state.inventory, id, edit).await {
        Ok(_) => Redirect::to(&format!("/admin/drops/{id}")).into_response(),
        Err(error) => show(state, zone, id, Period::All, Some(&error)).await,
    }
}

/// The page, with what went wrong and its status.
async fn show(state: &AppState, zone: Zone, id: i64, period: Period, error: Option<&EditError>) -> Response {
    let managed = match Catalog::managed(&state.pool, id).await {
        Ok(Some(managed)) => managed,
        Ok(None) => return error_page(state, &DropError::NotFound(Missing::Drop)),
        Err(error) => return error_page(state, &error),
    };
    // What can be done must be there also while the figures cannot be read.
    let board = timeout(BOARD_TIMEOUT, board::read(state, id, period)).await.ok().and_then(Result::ok);
    let name = managed.drop.name.clone();
    let content = content(managed, board.as_ref(), period, zone, state.clock.now(), error);
    let mut page = document(state, Place::Other(&name), content);
    *page.status_mut() = error.map_or(StatusCode::OK, |error| error.clone().into_response().status());
    page
}

/// How long the page waits for its board.
const BOARD_TIMEOUT: Duration = Duration::from_secs(2);

fn content(
    managed: ManagedDrop,
    board: Option<&Board>,
    period: Period,
    zone: Zone,
    now: DateTime<Utc>,
    error: Option<&EditError>,
) -> impl IntoView + use<> {
    let ManagedDrop { drop, status, edit_version } = managed;
    let id = drop.id;
    let path = format!("/admin/drops/{id}");
    let desk_status = DeskStatus::of(status, &drop, now);
    let problem = error.map(|error| match error {
        EditError::Drop(DropError::Invalid { field, expected }) => desk::problem(field, expected),
        error => error.to_string(),
    });
    let (now_text, next) = moments(now, [*drop.starts_at].into_iter().chain(drop.ends_at.map(|ends_at| *ends_at)));
    view! {
        <div
            class="heading"
            data-follow=id
            data-address=format!("{path}?period={period}")
            data-now=now_text
            data-next=next
        >
            <div>
                <h1 dir="auto">{drop.name.clone()}</h1>
                <p id="status">{desk_status.badge()}</p>
            </div>
            <nav class="links" aria-label=drop.name.clone()>
                <a class="secondary" href=format!("{path}/edit")>{desk::EDIT}</a>
                <a class="secondary" href=format!("/admin/drops/new?from={id}")>{desk::DUPLICATE}</a>
                <a class="secondary" href=format!("{path}/purchases")>{desk::PURCHASES}</a>
                <a class="secondary" href=format!("{path}/log")>{desk::LOG}</a>
                <a class="secondary" href=format!("{path}/proof")>{desk::PROOF}</a>
                {(status == DropStatus::Published)
                    .then(|| view! { <a class="secondary" href=format!("/drops/{id}")>{desk::IN_THE_SHOP}</a> })}
            </nav>
        </div>
        {problem.map(|problem| view! { <p class="problems" role="alert">{problem}</p> })}
        <div class="drop-page">
            <div>
                {facts(&drop, zone)}
                {steering(&path, status, &drop, now)}
                {stock(&path, &drop, edit_version)}
            </div>
            {match board {
                Some(board) => Either::Left(super::board::content(board, zone)),
                None => Either::Right(super::board::unavailable()),
            }}
        </div>
    }
}

fn facts(drop: &SneakerDrop, zone: Zone) -> impl IntoView + use<> {
    let end = match drop.ends_at {
        Some(ends_at) => Either::Left(zone.time(ends_at)),
        None => Either::Right(desk::NO_END),
    };
    let limit = drop.limit_per_user.map_or(desk::NO_LIMIT.into(), desk::count);
    view! {
        <section id="facts" class="facts" aria-labelledby="facts-title">
            <h2 id="facts-title">{desk::FACTS}</h2>
            <dl>
                <dt>{desk::PRICE}</dt>
                <dd>{text::price(drop.price_cents)}</dd>
                <dt>{desk::START}</dt>
                <dd>{zone.time(drop.starts_at)}</dd>
                <dt>{desk::END}</dt>
                <dd>{end}</dd>
                <dt>{desk::LIMIT}</dt>
                <dd>{limit}</dd>
            </dl>
        </section>
    }
}

/// What can be done now. What cannot be undone unfolds first.
fn steering(path: &str, status: DropStatus, drop: &SneakerDrop, now: DateTime<Utc>) -> impl IntoView + use<> {
    let button = |action: &str, label: &'static str, hint: &'static str, class: &'static str| {
        let form = view! {
            <form method="post" action=format!("{path}/{action}")>
                <p class="quiet">{hint}</p>
                <button class=class>{label}</button>
            </form>
        };
        match class {
            "danger" => Either::Left(view! {
                <details>
                    <summary>{label}"…"</summary>
                    {form}
                </details>
            }),
            _ => Either::Right(form),
        }
    };
    let has_started = *drop.starts_at <= now;
    let is_on_sale = status == DropStatus::Published && !drop.has_ended(now);
    let can_archive =
        status == DropStatus::Draft || status == DropStatus::Published && drop.held_stock == 0 && drop.is_over(now);
    view! {
        <section id="steering" class="steering" aria-labelledby="steering-title">
            <h2 id="steering-title">{desk::STEERING}</h2>
            {(status == DropStatus::Draft)
                .then(|| button("publish", desk::PUBLISH_NOW, desk::PUBLISH_HINT, "primary"))}
            {(status == DropStatus::Archived)
                .then(|| button("publish", desk::PUBLISH_AGAIN, desk::PUBLISH_HINT, "secondary"))}
            {(is_on_sale && !drop.paused)
                .then(|| button("pause", desk::PAUSE, desk::PAUSE_HINT, "secondary"))}
            {(status == DropStatus::Published && drop.paused)
                .then(|| button("resume", desk::RESUME, desk::RESUME_HINT, "primary"))}
            {(is_on_sale && !has_started)
                .then(|| button("unpublish", desk::UNPUBLISH, desk::UNPUBLISH_HINT, "secondary"))}
            {(is_on_sale && has_started)
                .then(|| button("end", desk::END_NOW, desk::END_NOW_HINT, "danger"))}
            {can_archive.then(|| button("archive", desk::ARCHIVE, desk::ARCHIVE_HINT, "danger"))}
        </section>
    }
}

fn stock(path: &str, drop: &SneakerDrop, edit_version: i64) -> impl IntoView + use<> {
    let action = format!("{path}/stock");
    let sizes = drop.sizes.iter().map(|size| view! { <option>{size.label.clone()}</option> }).collect_view();
    let pairs = |id: &'static str| {
        view! {
            <label>
                {desk::PAIRS} <input id=id name="pairs" inputmode="numeric" required autocomplete="off" />
            </label>
        }
    };
    let version = move || view! { <input type="hidden" name="editVersion" value=edit_version /> };
    view! {
        <section class="steering" aria-labelledby="stock-title">
            <h2 id="stock-title">{desk::MORE_PAIRS}</h2>
            <p class="quiet">{desk::MORE_PAIRS_HINT}</p>
            <form method="post" action=action.clone() class="row">
                {version()}
                <label>
                    {text::SIZE} <select id="pairs-size" name="size">
                        {sizes}
                    </select>
                </label>
                {pairs("pairs")}
                <button class="secondary" name="do" value="add">{desk::ADD}</button>
                <button class="secondary" name="do" value="takeBack">{desk::TAKE_BACK}</button>
            </form>
            <form method="post" action=action class="row">
                {version()}
                <label>
                    {desk::NEW_SIZE}
                    <input id="new-size" name="size" required maxlength="20" autocomplete="off" dir="auto" />
                </label>
                {pairs("new-pairs")}
                <button class="secondary" name="do" value="addSize">{desk::ADD_A_SIZE}</button>
            </form>
        </section>
    }
}
