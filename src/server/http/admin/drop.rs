//! `/admin/drops/{id}`: what a drop is, and what can be done with it.

use super::{
    change::{self, DONE, done_line, list_of_changes},
    document::{Place, document, error_page, moments},
    drop_id::DropId,
    form::{Form, idempotency_key, new_form},
    status::DeskStatus,
    zone::Zone,
};
use crate::{
    domain::{
        SneakerDrop, Timestamp,
        edit::EditError,
        error::{DropError, Missing},
    },
    server::{
        auth::admin::AdminSession,
        board::{self, Board, Period},
        catalog::{Catalog, DropStatus, ManagedDrop},
        http::query::query,
        inventory::{self, Action, Actor, Change, Edit, Label, Move, Pairs, PairsMoved, Seen, Wanted},
        state::AppState,
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
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::time::timeout;

/// `GET /admin/drops/{id}`; its board shows a part of the time with `?period=`.
pub(super) async fn page(
    State(state): State<AppState>,
    session: AdminSession,
    zone: Zone,
    DropId(id): DropId,
    uri: Uri,
) -> Response {
    let period = Period::named(query(&uri).get("period").map(String::as_str));
    let done = change::done(&state, &session, id, &uri).await;
    show(&state, zone, id, period, done.map(Pressed::Done)).await
}

/// Where a press leads that was heeded.
pub(super) fn done_at(drop_id: i64) -> Redirect {
    Redirect::to(&format!("/admin/drops/{drop_id}?{DONE}"))
}

/// A button that steers a drop.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PressedButton {
    /// That of the drop as the page showed it.
    edit_version: i64,
}

/// `POST /admin/drops/{id}/{action}`
pub(super) async fn act(
    State(state): State<AppState>,
    session: AdminSession,
    zone: Zone,
    DropId(id): DropId,
    Path((_, action)): Path<(String, String)>,
    Form(PressedButton { edit_version }): Form<PressedButton>,
) -> Response {
    match action_named(&action) {
        Some(action) => {
            let seen = Seen::VersionAndOwnEdits(edit_version);
            edit(&state, zone, id, Edit { actor: Actor::Session(session.id), seen, key: None, action }, None).await
        }
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

#[derive(Deserialize, Serialize)]
pub(super) struct MovePairsForm {
    /// As [`new_form`] made it.
    form: String,
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
    let size = Label::try_from(form.size.clone()).map_err(|expected| DropError::invalid("size", expected));
    let pairs = Pairs::typed(&form.pairs);
    let pairs = pairs.map_err(|expected| DropError::invalid("pairs", expected));
    let moved = size.and_then(|size| Ok(PairsMoved { size, pairs: pairs?, kind }));
    let action = match moved {
        Ok(moved) => Action::Stock(moved),
        Err(error) => {
            let refused = Refused { error: error.into(), meanwhile: vec![], pairs: Some(form) };
            return show(&state, zone, id, Period::All, Some(Pressed::Refused(refused))).await;
        }
    };
    let key = idempotency_key(&form.form, &form);
    let edit_of_pairs = Edit { actor: Actor::Session(session.id), seen: Seen::Any, key, action };
    edit(&state, zone, id, edit_of_pairs, Some(form)).await
}

async fn edit(state: &AppState, zone: Zone, id: i64, edit: Edit, pairs: Option<MovePairsForm>) -> Response {
    let seen = edit.seen;
    let error = match inventory::edit(&state.inventory, id, edit).await {
        Ok(_) => return done_at(id).into_response(),
        Err(error) => error,
    };
    let meanwhile = match (&error, seen) {
        (EditError::EditedMeanwhile { .. }, Seen::Version(seen) | Seen::VersionAndOwnEdits(seen)) => {
            let wanted = Wanted { drop_id: Some(id), since_edit_version: Some(seen), ..Wanted::default() };
            inventory::changes(&state.pool, wanted).await.map(|page| page.changes).unwrap_or_default()
        }
        _ => vec![],
    };
    show(state, zone, id, Period::All, Some(Pressed::Refused(Refused { error, meanwhile, pairs }))).await
}

/// What became of the press that led to the page.
enum Pressed {
    Done(String),
    Refused(Refused),
}

/// What was not done.
struct Refused {
    error: EditError,
    /// What was edited since the page that was pressed.
    meanwhile: Vec<Change>,
    /// What was typed.
    pairs: Option<MovePairsForm>,
}

/// The page, with what was done, or with what went wrong and its status.
async fn show(state: &AppState, zone: Zone, id: i64, period: Period, pressed: Option<Pressed>) -> Response {
    let managed = match Catalog::managed(&state.pool, id).await {
        Ok(Some(managed)) => managed,
        Ok(None) => return error_page(state, &DropError::NotFound(Missing::Drop)),
        Err(error) => return error_page(state, &error),
    };
    // What can be done must be there also while the figures cannot be read.
    let paused_at = async {
        let is_paused = managed.drop.paused;
        if is_paused { inventory::paused_at(&state.pool, id).await } else { Ok(None) }
    };
    let (board, paused_at) =
        tokio::join!(timeout(BOARD_TIMEOUT, board::read(state, id, period)), timeout(BOARD_TIMEOUT, paused_at));
    let board = board.ok().and_then(Result::ok);
    let paused_at = paused_at.ok().and_then(Result::ok).flatten();
    let name = managed.drop.name.clone();
    let status = match &pressed {
        Some(Pressed::Refused(refused)) => refused.error.clone().into_response().status(),
        _ => StatusCode::OK,
    };
    let content = content(managed, paused_at, board.as_ref(), period, zone, state.clock.now(), pressed);
    let mut page = document(state, Place::Other(&name), content);
    *page.status_mut() = status;
    page
}

/// How long the page waits for its board, and for when the drop was paused.
const BOARD_TIMEOUT: Duration = Duration::from_secs(2);

fn content(
    managed: ManagedDrop,
    paused_at: Option<Timestamp>,
    board: Option<&Board>,
    period: Period,
    zone: Zone,
    now: DateTime<Utc>,
    pressed: Option<Pressed>,
) -> impl IntoView + use<> {
    let desk_status = DeskStatus::of(managed.status, &managed.drop, now);
    let sentence = desk_status.sentence(&managed.drop, paused_at, zone, now);
    let ManagedDrop { drop, status, edit_version, .. } = managed;
    let id = drop.id;
    let path = format!("/admin/drops/{id}");
    let (done, refused) = match pressed {
        Some(Pressed::Done(done)) => (Some(done), None),
        Some(Pressed::Refused(refused)) => (None, Some(refused)),
        None => (None, None),
    };
    let problem = refused.as_ref().map(|refused| {
        let sentence = match &refused.error {
            EditError::Drop(DropError::Invalid { field, expected }) => desk::problem(field, expected),
            error => error.to_string(),
        };
        view! {
            <div class="problems" role="alert">
                <p>{sentence}</p>
                {list_of_changes(&refused.meanwhile, zone)}
            </div>
        }
    });
    let typed = refused.and_then(|refused| refused.pairs);
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
                <p id="state" class="quiet">{sentence}</p>
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
        {done_line(done)}
        {problem}
        <div class="drop-page">
            <div>
                {facts(&drop, zone)}
                {steering(&path, status, &drop, edit_version, zone, now)}
                {stock(&path, &drop, typed)}
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
fn steering(
    path: &str,
    status: DropStatus,
    drop: &SneakerDrop,
    edit_version: i64,
    zone: Zone,
    now: DateTime<Utc>,
) -> impl IntoView + use<> {
    let button = |action: &str, label: String, hint: &'static str, class: &'static str| {
        let form = view! {
            <form method="post" action=format!("{path}/{action}")>
                <input type="hidden" name="editVersion" value=edit_version />
                <p class="quiet">{hint}</p>
                <button class=class>{label.clone()}</button>
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
    let again_hint = match has_started && !drop.is_over(now) && !drop.paused {
        true => desk::PUBLISH_AGAIN_OPENS_HINT,
        false => desk::PUBLISH_AGAIN_HINT,
    };
    view! {
        <section id="steering" class="steering" aria-labelledby="steering-title">
            <h2 id="steering-title">{desk::STEERING}</h2>
            {(status == DropStatus::Draft)
                .then(|| button("publish", publish_label(zone, drop.starts_at, now), desk::PUBLISH_HINT, "primary"))}
            {(status == DropStatus::Archived)
                .then(|| button("publish", desk::PUBLISH_AGAIN.into(), again_hint, "secondary"))}
            {(is_on_sale && !drop.paused)
                .then(|| button("pause", desk::PAUSE.into(), desk::PAUSE_HINT, "secondary"))}
            {(is_on_sale && drop.paused)
                .then(|| button("resume", desk::RESUME.into(), desk::RESUME_HINT, "primary"))}
            {(is_on_sale && !has_started)
                .then(|| button("unpublish", desk::UNPUBLISH.into(), desk::UNPUBLISH_HINT, "secondary"))}
            {(is_on_sale && has_started)
                .then(|| button("end", desk::END_NOW.into(), desk::END_NOW_HINT, "danger"))}
            {can_archive.then(|| button("archive", desk::ARCHIVE.into(), desk::ARCHIVE_HINT, "danger"))}
        </section>
    }
}

/// On the button that publishes a draft, when that opens the sale.
pub(super) fn publish_label(zone: Zone, starts_at: Timestamp, now: DateTime<Utc>) -> String {
    match *starts_at <= now {
        true => desk::PUBLISH_AND_OPEN.into(),
        false => desk::publish_and_open_later(&zone.date(starts_at)),
    }
}

/// The forms that move pairs, with what was typed if it was refused.
fn stock(path: &str, drop: &SneakerDrop, typed: Option<MovePairsForm>) -> impl IntoView + use<> {
    let action = format!("{path}/stock");
    let (new_size, known_size) = match typed {
        Some(typed) if typed.button == "addSize" => (Some(typed), None),
        typed => (None, typed),
    };
    let sizes = drop.sizes.iter().map(|size| {
        let is_selected = known_size.as_ref().is_some_and(|typed| typed.size == size.label);
        view! { <option selected=is_selected>{size.label.clone()}</option> }
    });
    let sizes = sizes.collect_view();
    let pairs = |id: &'static str, typed: &Option<MovePairsForm>| {
        view! {
            <label>
                {desk::PAIRS}
                <input
                    id=id
                    name="pairs"
                    inputmode="numeric"
                    required
                    autocomplete="off"
                    value=typed.as_ref().map(|typed| typed.pairs.clone())
                />
            </label>
        }
    };
    let form = || view! { <input type="hidden" name="form" value=new_form() /> };
    view! {
        <section class="steering" aria-labelledby="stock-title">
            <h2 id="stock-title">{desk::MORE_PAIRS}</h2>
            <p class="quiet">{desk::MORE_PAIRS_HINT}</p>
            <form method="post" action=action.clone() class="row">
                {form()}
                <label>
                    {text::SIZE} <select id="pairs-size" name="size">
                        {sizes}
                    </select>
                </label>
                {pairs("pairs", &known_size)}
                <button class="secondary" name="do" value="add">{desk::ADD}</button>
                <button class="secondary" name="do" value="takeBack">{desk::TAKE_BACK}</button>
            </form>
            <form method="post" action=action class="row">
                {form()}
                <label>
                    {desk::NEW_SIZE}
                    <input
                        id="new-size"
                        name="size"
                        required
                        maxlength="20"
                        autocomplete="off"
                        dir="auto"
                        value=new_size.as_ref().map(|typed| typed.size.clone())
                    />
                </label>
                {pairs("new-pairs", &new_size)}
                <button class="secondary" name="do" value="addSize">{desk::ADD_A_SIZE}</button>
            </form>
        </section>
    }
}
