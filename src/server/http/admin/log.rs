//! `/admin/log` and `/admin/drops/{drop_id}/log`: what changed besides the sales, newest first.

use super::{
    change::change_list,
    document::{Place, document, error_page},
    drop_id::DropId,
    one_drop::heading_of_drop,
    zone::Zone,
};
use crate::{
    domain::{
        error::{DropError, Missing},
        read_id,
    },
    server::{
        database::{
            Pool,
            error::{fault, with_timeout},
            guard::PoolGuard,
        },
        http::query::{before, query},
        inventory::{self, Change, Changes, Wanted},
        state::AppState,
    },
    text::{self, desk},
};
use axum::{Router, extract::State, http::Uri, response::Response, routing::get};
use leptos::{either::Either, prelude::*};

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/admin/log", get(log)).route("/admin/drops/{id}/log", get(log_of_drop))
}

/// Of all drops, or of one, also if it was deleted.
async fn log(State(state): State<AppState>, zone: Zone, uri: Uri) -> Response {
    let drop_id = query(&uri).remove("drop").filter(|drop_id| !drop_id.is_empty());
    let read = async {
        let drop_id = drop_id.map(|id| read_id(&id).ok_or(DropError::NotFound(Missing::Drop))).transpose()?;
        let page = Page::read(&state.pool, drop_id, &uri).await?;
        let is_unknown = drop_id.is_some_and(|id| page.name_of(id).is_none()) && page.log.changes.is_empty();
        if is_unknown { Err(DropError::NotFound(Missing::Drop)) } else { Ok(page) }
    };
    match read.await {
        Ok(page) => document(&state, Place::Log, page.of_all(zone)),
        Err(error) => error_page(&state, &error),
    }
}

async fn log_of_drop(State(state): State<AppState>, zone: Zone, DropId(drop_id): DropId, uri: Uri) -> Response {
    let read = async {
        let page = Page::read(&state.pool, Some(drop_id), &uri).await?;
        let name = page.name_of(drop_id).ok_or(DropError::NotFound(Missing::Drop))?.to_owned();
        Ok((name, page))
    };
    match read.await {
        Ok((name, page)) => {
            let title = desk::page_of_drop(desk::LOG, &name);
            document(&state, Place::Other(&title), page.of_drop(drop_id, &name, zone))
        }
        Err(error) => error_page(&state, &error),
    }
}

/// One page of the log.
struct Page {
    /// Only of this drop.
    drop_id: Option<i64>,
    before: Option<i64>,
    log: Changes,
    /// The newest, and those of this page.
    drops: Vec<NamedDrop>,
}

struct NamedDrop {
    id: i64,
    name: String,
}

impl Page {
    async fn read(pool: &Pool, drop_id: Option<i64>, uri: &Uri) -> Result<Self, DropError> {
        let before = before(uri, read_id)?;
        let log = inventory::changes(pool, Wanted { drop_id, before, ..Wanted::default() }).await?;
        let ids: Vec<_> = log.changes.iter().map(|change| change.drop_id).chain(drop_id).collect();
        let drops = sqlx::query_as!(
            NamedDrop,
            r#"select id as "id!", name as "name!" from (select id, name from drops order by id desc limit $2) newest
               union
               select id, name from drops where id = any($1)
               order by 1 desc"#,
            &ids,
            OFFERED_DROPS
        );
        let mut connection = PoolGuard::acquire(pool).await.map_err(fault)?;
        let drops = with_timeout(drops.fetch_all(&mut *connection)).await?;
        connection.put_back();
        Ok(Self { drop_id, before, log, drops })
    }

    /// `None` if the drop was deleted, or never was.
    fn name_of(&self, drop_id: i64) -> Option<&str> {
        self.drops.iter().find(|drop| drop.id == drop_id).map(|drop| &*drop.name)
    }

    fn of_all(self, zone: Zone) -> impl IntoView {
        let older = self.log.older.map(|older| match self.drop_id {
            Some(drop_id) => format!("/admin/log?drop={drop_id}&before={older}"),
            None => format!("/admin/log?before={older}"),
        });
        view! {
            <div class="heading" data-follow="">
                <h1 id="log">{desk::LOG}</h1>
                {self.filter()}
            </div>
            {self.table(true, zone)}
            {link_to(older)}
        }
    }

    fn of_drop(self, drop_id: i64, name: &str, zone: Zone) -> impl IntoView + use<> {
        let path = format!("/admin/drops/{drop_id}/log");
        let address = self.before.map_or_else(|| path.clone(), |before| format!("{path}?before={before}"));
        let older = self.log.older.map(|older| format!("{path}?before={older}"));
        view! {
            {heading_of_drop(drop_id, name, "log", desk::LOG, address)}
            {self.table(false, zone)}
            {link_to(older)}
        }
    }

    fn filter(&self) -> impl IntoView + use<> {
        let option = |id: String, label: String, is_chosen: bool| {
            view! {
                <option value=id selected=is_chosen>
                    {label}
                </option>
            }
        };
        let deleted = self.drop_id.filter(|id| self.name_of(*id).is_none());
        let deleted = deleted.map(|id| option(id.to_string(), desk::deleted_drop(id), true));
        let drops = self.drops.iter().map(|drop| {
            option(drop.id.to_string(), desk::numbered_drop(drop.id, &drop.name), self.drop_id == Some(drop.id))
        });
        view! {
            <form class="filters" method="get" action="/admin/log">
                <label class="visually-hidden" for="drop">
                    {desk::DROP}
                </label>
                <select id="drop" name="drop">
                    {option(String::new(), desk::ALL.into(), self.drop_id.is_none())}
                    {deleted}
                    {drops.collect_view()}
                </select>
                <button class="secondary">{text::FILTER}</button>
            </form>
        }
    }

    /// On narrow screens each row becomes a block, as in the list of drops.
    fn table(&self, has_drops: bool, zone: Zone) -> impl IntoView + use<> {
        if self.log.changes.is_empty() {
            let nothing = if self.before.is_some() { desk::NO_OLDER_CHANGES } else { desk::NO_CHANGES };
            return Either::Left(view! { <p class="empty">{nothing}</p> });
        }
        let columns = [Some(desk::WHEN), Some(desk::WHO), has_drops.then_some(desk::DROP), Some(desk::WHAT)];
        let columns = columns.into_iter().flatten().map(|name| {
            view! {
                <th scope="col" role="columnheader">
                    {name}
                </th>
            }
        });
        let rows = self.log.changes.iter().map(|change| {
            let drop = has_drops.then(|| (change.drop_id, self.name_of(change.drop_id)));
            row(change, drop, zone)
        });
        Either::Right(view! {
            <table class="list log" role="table" aria-labelledby="log">
                <thead role="rowgroup">
                    <tr role="row">{columns.collect_view()}</tr>
                </thead>
                <tbody role="rowgroup">{rows.collect_view()}</tbody>
            </table>
        })
    }
}

/// How many drops the filter offers; the links in the log lead to any other.
const OFFERED_DROPS: i64 = 50;

fn row(change: &Change, drop: Option<(i64, Option<&str>)>, zone: Zone) -> impl IntoView + use<> {
    let drop = drop.map(|(id, name)| {
        let name = name.map_or_else(|| desk::deleted_drop(id), str::to_owned);
        view! {
            <td role="cell" class="drop">
                <a href=format!("/admin/log?drop={id}")>
                    <bdi>{name}</bdi>
                </a>
            </td>
        }
    });
    view! {
        <tr id=format!("change-{}", change.id) role="row">
            <th scope="row" role="rowheader">
                {zone.time(change.created_at)}
            </th>
            <td role="cell" class="actor">
                <bdi>{desk::actor(&change.actor)}</bdi>
            </td>
            {drop}
            <td role="cell" class="what">
                {change_list(change, zone)}
            </td>
        </tr>
    }
}

fn link_to(older: Option<String>) -> impl IntoView {
    older.map(|address| {
        view! {
            <a class="secondary" href=address>
                {text::OLDER}
            </a>
        }
    })
}
