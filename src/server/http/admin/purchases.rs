//! `/admin/drops/{id}/purchases`: who bought a drop, newest first, and cancelling a purchase.

use super::{
    change::{self, DONE, done_line},
    document::{Place, document, error_page},
    drop_id::DropId,
    form::Form,
    one_drop::heading_of_drop,
    zone::Zone,
};
use crate::{
    domain::{
        edit::EditError,
        error::{DropError, Missing},
        read_id,
    },
    server::{
        auth::admin::AdminSession,
        database::{
            Pool,
            error::{fault, with_timeout},
            guard::PoolGuard,
        },
        http::query::query,
        inventory::{self, Action, Actor, Edit, Label, Seen},
        state::AppState,
        visible_text,
        whole_number::Id,
    },
    text::{self, desk},
};
use axum::{
    Router,
    extract::{Path, Query, State},
    http::{StatusCode, Uri},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use chrono::{DateTime, Utc};
use leptos::{either::Either, prelude::*};
use serde::Deserialize;

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/admin/drops/{id}/purchases", get(list))
        .route("/admin/drops/{id}/purchases/{purchase_id}/cancel", get(to_the_list).post(cancel))
        .route("/admin/drops/{id}/purchases/{purchase_id}/remove-reason", get(to_the_list).post(remove_reason))
        .route("/admin/orders", get(find))
}

async fn list(
    State(state): State<AppState>,
    session: AdminSession,
    zone: Zone,
    DropId(drop_id): DropId,
    uri: Uri,
) -> Response {
    let read = async {
        let Query(wanted) = Query::<Wanted>::try_from_uri(&uri).map_err(|_| DropError::NotFound(Missing::Path))?;
        Ok((Listed::read(&state.pool, drop_id, &wanted).await?, wanted))
    };
    match read.await {
        Ok((listed, wanted)) => {
            let done = change::done(&state, &session, drop_id, &uri).await;
            page(&state, zone, listed, &wanted, done, None)
        }
        Err(error) => error_page(&state, &error),
    }
}

/// `/admin/orders?search=000123`: leads to an order of whatever drop.
async fn find(State(state): State<AppState>, uri: Uri) -> Response {
    let search = query(&uri).remove("search").unwrap_or_default();
    let wanted = Wanted { search, before: None };
    let found = async {
        let Some(number) = wanted.number_and_name().0 else { return Ok(None) };
        let drop_id = sqlx::query_scalar!("select drop_id from purchases where id = $1", number);
        let mut connection = PoolGuard::acquire(&state.pool).await.map_err(fault)?;
        let drop_id = with_timeout(drop_id.fetch_optional(&mut *connection)).await?;
        connection.put_back();
        Ok(drop_id.map(|drop_id| (drop_id, number)))
    };
    match found.await {
        Ok(Some((drop_id, number))) => {
            let wanted = Wanted { search: desk::order_number(number), before: None };
            Redirect::to(&format!("{}#order-{number}", wanted.address(drop_id))).into_response()
        }
        Ok(None) => {
            let content = view! {
                <h1>{text::NOT_FOUND}</h1>
                <p>{desk::no_such_order(&wanted.search)}</p>
                {find_order(&wanted.search)}
            };
            (StatusCode::NOT_FOUND, document(&state, Place::Other(text::NOT_FOUND), content)).into_response()
        }
        Err(error) => error_page(&state, &error),
    }
}

/// Asks for the number of an order.
pub(super) fn find_order(search: &str) -> impl IntoView + use<> {
    view! {
        <form class="filters" method="get" action="/admin/orders" role="search">
            <label for="order">{desk::ORDER_NUMBER}</label>
            <input
                id="order"
                name="search"
                type="search"
                required
                value=search.to_owned()
                autocomplete="off"
                dir="auto"
            />
            <button class="secondary">{desk::FIND}</button>
        </form>
    }
}

/// Whoever opens the address of a form that was refused.
async fn to_the_list(DropId(drop_id): DropId) -> Redirect {
    Redirect::to(&Wanted::default().address(drop_id))
}

#[derive(Deserialize)]
struct CancelForm {
    #[serde(default)]
    reason: String,
    /// Whether the pair is sold again. A box that is not ticked is left out, so `asked` says that there was one.
    restock: Option<String>,
    asked: Option<String>,
    /// To which list the admin returns.
    #[serde(flatten)]
    wanted: Wanted,
}

async fn cancel(
    State(state): State<AppState>,
    session: AdminSession,
    zone: Zone,
    DropId(drop_id): DropId,
    Path((_, purchase_id)): Path<(String, String)>,
    Form(CancelForm { reason, restock, asked, wanted }): Form<CancelForm>,
) -> Response {
    let purchase_id = purchase_number(&purchase_id);
    let restock = restock.is_some() || asked.is_none();
    let action = match Label::try_from(reason.clone()) {
        Ok(reason) => Action::Cancel { purchase_id, reason, restock },
        Err(expected) => {
            let refused = Refused { purchase_id, reason, restock, problem: desk::reason_refused(&expected) };
            return match Listed::read(&state.pool, drop_id, &wanted).await {
                Ok(listed) => {
                    (StatusCode::BAD_REQUEST, page(&state, zone, listed, &wanted, None, Some(refused))).into_response()
                }
                Err(error) => error_page(&state, &error),
            };
        }
    };
    change_purchase(&state, session, drop_id, purchase_id, action, &wanted).await
}

async fn remove_reason(
    State(state): State<AppState>,
    session: AdminSession,
    DropId(drop_id): DropId,
    Path((_, purchase_id)): Path<(String, String)>,
    Form(wanted): Form<Wanted>,
) -> Response {
    let purchase_id = purchase_number(&purchase_id);
    change_purchase(&state, session, drop_id, purchase_id, Action::RemoveReason { purchase_id }, &wanted).await
}

/// No purchase has the number 0.
fn purchase_number(path: &str) -> i64 {
    read_id(path).unwrap_or(0)
}

/// Does it, and leads back to the list.
async fn change_purchase(
    state: &AppState,
    session: AdminSession,
    drop_id: i64,
    purchase_id: i64,
    action: Action,
    wanted: &Wanted,
) -> Response {
    let edit = Edit { actor: Actor::Session(session.id), seen: Seen::Any, key: None, action };
    match inventory::edit(&state.inventory, drop_id, edit).await {
        Ok(_) => {
            let list = wanted.address(drop_id);
            let sign = if list.contains('?') { '&' } else { '?' };
            Redirect::to(&format!("{list}{sign}{DONE}#order-{purchase_id}")).into_response()
        }
        Err(EditError::Drop(error)) => error_page(state, &error),
        Err(refusal) => {
            let content = view! {
                <h1>{desk::NOT_DONE}</h1>
                <p>{refusal.to_string()}</p>
                <a class="secondary" href=wanted.address(drop_id)>
                    {desk::PURCHASES}
                </a>
            };
            (StatusCode::CONFLICT, document(state, Place::Other(desk::NOT_DONE), content)).into_response()
        }
    }
}

/// Which purchases of a drop a page lists.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Wanted {
    /// As it was typed; empty for all.
    search: String,
    /// A purchase's id: older ones are listed.
    before: Option<Id>,
}

impl Wanted {
    fn address(&self, drop_id: i64) -> String {
        self.address_before(drop_id, self.before.map(Id::get))
    }

    fn address_before(&self, drop_id: i64, before: Option<i64>) -> String {
        let search = Some(("search", self.search.clone())).filter(|(_, search)| !search.is_empty());
        let query: Vec<_> = search.into_iter().chain(before.map(|id| ("before", id.to_string()))).collect();
        let path = format!("/admin/drops/{drop_id}/purchases");
        match serde_urlencoded::to_string(query) {
            Ok(query) if !query.is_empty() => format!("{path}?{query}"),
            _ => path,
        }
    }

    /// The fields of a form that leads back to the same list.
    fn hidden(&self) -> impl IntoView + use<> {
        let search = Some(self.search.clone()).filter(|search| !search.is_empty());
        view! {
            {search.map(|search| view! { <input type="hidden" name="search" value=search /> })}
            {self.before.map(|before| view! { <input type="hidden" name="before" value=before.get() /> })}
        }
    }

    /// The number of an order, if that is what was typed, and how the buyer's name begins. What names cannot have is
    /// searched for as spaces.
    fn number_and_name(&self) -> (Option<i64>, String) {
        let name = visible_text::key_of(&self.search.replace(char::is_control, " "));
        let digits = name.strip_prefix("order").unwrap_or(&name).trim_start().trim_start_matches('#');
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
        (digits.parse().ok().filter(|_| is_number), name)
    }
}

/// One page of the purchases of a drop.
struct Listed {
    drop_id: i64,
    drop_name: String,
    /// Of the whole drop.
    completed: i32,
    cancelled: i32,
    purchases: Vec<ListedPurchase>,
    /// The next page is of those before this one.
    older: Option<i64>,
}

struct ListedPurchase {
    id: i64,
    username: String,
    size: String,
    price_cents: i32,
    created_at: DateTime<Utc>,
    cancelled_at: Option<DateTime<Utc>>,
    cancel_reason: Option<String>,
}

impl Listed {
    async fn read(pool: &Pool, drop_id: i64, wanted: &Wanted) -> Result<Self, DropError> {
        // Neither count reads the purchases: what is neither available nor held is sold, and the log has what was
        // cancelled.
        let drop = sqlx::query!(
            r#"select name,
                      (select coalesce(sum(total_stock - available_stock - held_stock), 0)
                       from drop_sizes where drop_id = $1)::integer as "completed!",
                      (select count(*) from drop_changes where drop_id = $1 and action = 'cancelled')::integer
                          as "cancelled!"
               from drops where id = $1"#,
            drop_id
        );
        // If few names begin so, an index finds them, and another what they bought. Otherwise the drop's purchases are
        // searched from the newest. The planner would at times rather read all users, or the purchases of all drops:
        // `offset 0` rules out the former, and `between` with its order the latter.
        let (number, name) = wanted.number_and_name();
        let purchases = sqlx::query_as!(
            ListedPurchase,
            "with named as materialized (
                 select id from users where $4 <> '' and starts_with(username_key, $4)
                 order by username_key using ~<~ limit $6
             )
             select p.id, u.username, s.label as size, p.price_cents, p.created_at, p.cancelled_at, p.cancel_reason
             from (
                 select id from purchases where drop_id = $1 and id < $2 and id = $3
                 union
                 select p.id from named cross join lateral (
                     select id from purchases where user_id = named.id and drop_id = $1 and id < $2 offset 0
                 ) p where (select count(*) from named) < $6
                 union
                 (select p.id
                  from purchases p
                  cross join lateral (select username_key from users where id = p.user_id offset 0) u
                  where p.drop_id between $1 and $1 and p.id < $2 and starts_with(u.username_key, $4)
                      and ($4 = '' or (select count(*) from named) >= $6)
                  order by p.drop_id, p.id desc limit $5)
                 order by id desc limit $5
             ) found
             join purchases p on p.id = found.id
             join users u on u.id = p.user_id join drop_sizes s on s.id = p.size_id
             order by p.id desc",
            drop_id,
            wanted.before.map_or(i64::MAX, Id::get),
            number,
            name,
            LISTED_PURCHASES as i64 + 1,
            FEW_NAMES
        );
        let mut connection = PoolGuard::acquire(pool).await.map_err(fault)?;
        let read = async {
            match drop.fetch_optional(&mut *connection).await? {
                Some(drop) => Ok(Some((drop, purchases.fetch_all(&mut *connection).await?))),
                None => Ok(None),
            }
        };
        let read = with_timeout(read).await?;
        connection.put_back();
        let (drop, mut purchases) = read.ok_or(DropError::NotFound(Missing::Drop))?;
        let has_older = purchases.len() > LISTED_PURCHASES;
        purchases.truncate(LISTED_PURCHASES);
        let older = purchases.last().filter(|_| has_older).map(|purchase| purchase.id);
        let (completed, cancelled) = (drop.completed, drop.cancelled);
        Ok(Self { drop_id, drop_name: drop.name, completed, cancelled, purchases, older })
    }
}

/// How many purchases one page lists.
const LISTED_PURCHASES: usize = 50;

/// Fewer names than these are looked up one by one.
const FEW_NAMES: i64 = 1_000;

/// A form whose reason was refused.
struct Refused {
    purchase_id: i64,
    /// As it was typed.
    reason: String,
    restock: bool,
    problem: String,
}

fn page(
    state: &AppState,
    zone: Zone,
    listed: Listed,
    wanted: &Wanted,
    done: Option<String>,
    refused: Option<Refused>,
) -> Response {
    let Listed { drop_id, drop_name, completed, cancelled, purchases, older } = listed;
    let title = desk::page_of_drop(desk::PURCHASES, &drop_name);
    let list = match purchases.is_empty() {
        true => Either::Left(view! { <p class="empty">{nothing_listed(wanted)}</p> }),
        false => Either::Right(table(zone, drop_id, purchases, wanted, refused)),
    };
    let export = |what, names: [&'static str; 2]| {
        let links = std::iter::zip(["csv", "xlsx"], names);
        let links =
            links.map(|(format, name)| view! { <a href=format!("/admin/drops/{drop_id}/{what}.{format}")>{name}</a> });
        links.collect_view()
    };
    let content = view! {
        {heading_of_drop(drop_id, &drop_name, "purchases", desk::PURCHASES, wanted.address(drop_id))}
        {done_line(done)}
        <p>{desk::purchases_counted(completed, cancelled)}</p>
        <div class="heading">
            {search(drop_id, wanted)}
            <p class="links">
                {export("purchases", desk::EXPORT_PURCHASES)}
                {export("reservations", desk::EXPORT_RESERVATIONS)}
            </p>
        </div>
        {list}
        {older
            .map(|older| {
                view! {
                    <a class="secondary" href=wanted.address_before(drop_id, Some(older))>
                        {text::OLDER}
                    </a>
                }
            })}
    };
    document(state, Place::Other(&title), content)
}

fn nothing_listed(wanted: &Wanted) -> String {
    match (&*wanted.search, wanted.before) {
        ("", None) => desk::NO_PURCHASES.into(),
        ("", Some(_)) => desk::NO_OLDER_PURCHASES.into(),
        (search, _) => desk::nothing_found(search),
    }
}

fn search(drop_id: i64, wanted: &Wanted) -> impl IntoView + use<> {
    let all = Wanted::default().address(drop_id);
    let is_part = !wanted.search.is_empty() || wanted.before.is_some();
    let show_all = is_part.then(|| view! { <a href=all.clone()>{desk::SHOW_ALL}</a> });
    view! {
        <form class="filters" method="get" action=all role="search">
            <label for="search">{desk::ORDER_OR_NAME}</label>
            <input id="search" name="search" type="search" value=wanted.search.clone() autocomplete="off" dir="auto" />
            <button class="secondary">{desk::SEARCH}</button>
            {show_all}
        </form>
    }
}

/// On narrow screens each row becomes a block, as in the list of drops.
fn table(
    zone: Zone,
    drop_id: i64,
    purchases: Vec<ListedPurchase>,
    wanted: &Wanted,
    refused: Option<Refused>,
) -> impl IntoView + use<> {
    let columns = [
        (desk::ORDER, None),
        (text::BOUGHT_BY, None),
        (text::SIZE, None),
        (desk::PRICE, Some("number")),
        (desk::BOUGHT_AT, None),
        (text::STATUS, None),
    ];
    let columns = columns.map(|(name, class)| {
        view! {
            <th scope="col" role="columnheader" class=class>
                {name}
            </th>
        }
    });
    let rows = purchases.into_iter().map(|purchase| {
        let refused = refused.as_ref().filter(|refused| refused.purchase_id == purchase.id);
        row(zone, drop_id, purchase, wanted, refused)
    });
    view! {
        <table class="list purchase-list" role="table" aria-labelledby="purchases">
            <thead role="rowgroup">
                <tr role="row">{columns.collect_view()}</tr>
            </thead>
            <tbody role="rowgroup">{rows.collect_view()}</tbody>
        </table>
    }
}

fn row(
    zone: Zone,
    drop_id: i64,
    purchase: ListedPurchase,
    wanted: &Wanted,
    refused: Option<&Refused>,
) -> impl IntoView + use<> {
    let ListedPurchase { id, username, size, price_cents, created_at, cancelled_at, cancel_reason } = purchase;
    let status = match cancelled_at {
        Some(at) => Either::Left(view! {
            <strong>{text::CANCELLED}</strong>
            " "
            {zone.time(at.into())}
            {cancel_reason.map(|reason| reason_with_form(drop_id, id, reason, wanted))}
        }),
        None => Either::Right(view! {
            <strong>{text::COMPLETED}</strong>
            {cancel_form(drop_id, id, wanted, refused)}
        }),
    };
    // Whoever cancelled the order is taken to its row.
    view! {
        <tr role="row" id=format!("order-{id}") tabindex="-1">
            <th scope="row" role="rowheader" data-column=desk::ORDER>
                {desk::order_number(id)}
            </th>
            <td role="cell" class="buyer">
                <bdi>{username}</bdi>
            </td>
            <td role="cell" data-column=text::SIZE>
                <bdi>{size}</bdi>
            </td>
            <td role="cell" class="number" data-column=desk::PRICE>
                {text::price(price_cents)}
            </td>
            <td role="cell" class="bought" data-column=desk::BOUGHT_AT>
                {zone.time(created_at.into())}
            </td>
            <td role="cell" class="order-status" data-cancelled=cancelled_at.is_some().then_some("")>
                {status}
            </td>
        </tr>
    }
}

/// It can be removed, in case it names somebody.
fn reason_with_form(drop_id: i64, id: i64, reason: String, wanted: &Wanted) -> impl IntoView + use<> {
    view! {
        <p class="reason" dir="auto">
            {reason}
        </p>
        <form method="post" action=format!("/admin/drops/{drop_id}/purchases/{id}/remove-reason")>
            {wanted.hidden()}
            <button class="quiet" aria-label=desk::remove_reason_of(id)>
                {desk::REMOVE_REASON}
            </button>
        </form>
    }
}

fn cancel_form(drop_id: i64, id: i64, wanted: &Wanted, refused: Option<&Refused>) -> impl IntoView + use<> {
    let action = format!("/admin/drops/{drop_id}/purchases/{id}/cancel");
    let (reason_id, effect_id, error_id) = (format!("reason-{id}"), format!("effect-{id}"), format!("error-{id}"));
    let restock_id = format!("restock-{id}");
    let restock_hint_id = format!("restock-hint-{id}");
    let stays_id = format!("stays-{id}");
    view! {
        <details open=refused.is_some()>
            <summary>
                {desk::CANCEL} <span class="visually-hidden">" " {desk::order_number(id)}</span>
            </summary>
            <form method="post" action=action>
                <p id=effect_id.clone()>{desk::CANCEL_EFFECT}</p>
                <label for=reason_id.clone()>{text::REASON}</label>
                <input
                    id=reason_id
                    name="reason"
                    required
                    maxlength="200"
                    autocomplete="off"
                    dir="auto"
                    value=refused.map(|refused| refused.reason.clone())
                    autofocus=refused.is_some()
                    aria-invalid=refused.map(|_| "true")
                    aria-describedby=format!("{error_id} {stays_id} {effect_id}")
                />
                <p id=stays_id class="quiet">
                    {desk::REASON_STAYS}
                </p>
                <p id=error_id class="field-error" role="alert">
                    {refused.map(|refused| refused.problem.clone())}
                </p>
                <p>
                    <input
                        id=restock_id.clone()
                        name="restock"
                        type="checkbox"
                        checked=refused.is_none_or(|refused| refused.restock)
                        aria-describedby=restock_hint_id.clone()
                    />
                    " "
                    <label for=restock_id>{desk::RESTOCK}</label>
                </p>
                <p id=restock_hint_id class="quiet">
                    {desk::RESTOCK_HINT}
                </p>
                <input type="hidden" name="asked" value="restock" />
                {wanted.hidden()}
                <button class="secondary">{desk::cancel_order(id)}</button>
            </form>
        </details>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_found_by_its_number_however_it_is_written() {
        let number = |search: &str| Wanted { search: search.into(), before: None }.number_and_name().0;
        for search in ["123", "000123", "#123", " #000123 ", "Order 000123", "ORDER #123", "order123", "１２３"] {
            assert_eq!(number(search), Some(123), "{search}");
        }
        for search in ["", "#", "order", "Order ", "12a", "-1", "+1", "1.5", "1 2", "99999999999999999999", "alice"] {
            assert_eq!(number(search), None, "{search}");
        }
    }

    #[test]
    fn an_address_keeps_what_was_searched_for() {
        let address = |search: &str, before| Wanted { search: search.into(), before: None }.address_before(7, before);
        assert_eq!(address("", None), "/admin/drops/7/purchases");
        assert_eq!(address("", Some(5)), "/admin/drops/7/purchases?before=5");
        assert_eq!(address("a&b #1", Some(5)), "/admin/drops/7/purchases?search=a%26b+%231&before=5");
    }
}
