//! The form of a drop, for a new one and for changes, with a preview of its card.

use super::{
    change::list_of_changes,
    document::{Place, document, error_page},
    drop::{done_at, publish_label},
    drop_id::DropId,
    form::{Form, idempotency_key, new_form},
    preview,
    zone::Zone,
};
use crate::{
    domain::{
        ONE_SIZE, Size, SneakerDrop, Timestamp,
        edit::EditError,
        error::{DropError, Missing},
    },
    server::{
        auth::admin::AdminSession,
        catalog::{Catalog, DropStatus, ManagedDrop},
        http::query::query,
        inventory::{
            self, Action, Actor, Change, Description, Dollars, DropName, Edit, Fields, ImageUrl, MAX_SIZES, NewDrop,
            NewSize, NewSizes, Pairs, PriceCents, SaleTime, SaleWindow, Seen, Wanted,
        },
        state::AppState,
    },
    text::desk,
};
use axum::{
    extract::State,
    http::{StatusCode, Uri},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use leptos::{either::Either, prelude::*};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// `GET /admin/drops/new`; with `?from=<id>` filled in like an earlier drop.
pub(super) async fn new(State(state): State<AppState>, zone: Zone, uri: Uri) -> Response {
    let from = query(&uri).remove("from").and_then(|id| id.parse().ok());
    let typed = match from {
        Some(id) => match Catalog::managed(&state.pool, id).await {
            Ok(Some(earlier)) => Typed {
                starts_at: String::new(),
                ends_at: String::new(),
                form: new_form(),
                ..Typed::of(&earlier, zone)
            },
            Ok(None) => return error_page(&state, &DropError::NotFound(Missing::Drop)),
            Err(error) => return error_page(&state, &error),
        },
        None => Typed { sizes: vec![(ONE_SIZE.into(), String::new())], form: new_form(), ..Typed::default() },
    };
    page(&state, zone, None, &typed, Problems::default())
}

/// `POST /admin/drops`
pub(super) async fn create(
    State(state): State<AppState>,
    session: AdminSession,
    zone: Zone,
    Form(fields): Form<Vec<(String, String)>>,
) -> Response {
    let typed = Typed::from(fields.clone());
    let zone = typed.zone.unwrap_or(zone);
    let idempotency_key = idempotency_key(&typed.form, &fields);
    let parsed = typed.read(zone, None);
    let new = parsed.and_then(|parsed| parsed.into_new_drop(typed.button != "publish", state.clock.now()));
    let new = match new {
        Ok(new) => NewDrop { idempotency_key, ..new },
        Err(problems) => return refused(page(&state, zone, None, &typed, problems), StatusCode::BAD_REQUEST),
    };
    match inventory::create(&state.inventory, new, Actor::Session(session.id)).await {
        Ok(created) => done_at(created.drop.id).into_response(),
        Err(error) => {
            let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            refused(page(&state, zone, None, &typed, Problems::of_edit(&EditError::Drop(error))), status)
        }
    }
}

/// `GET /admin/drops/{id}/edit`
pub(super) async fn edit(State(state): State<AppState>, zone: Zone, DropId(id): DropId) -> Response {
    match Catalog::managed(&state.pool, id).await {
        Ok(Some(drop)) => page(&state, zone, Some(&drop), &Typed::of(&drop, zone), Problems::default()),
        Ok(None) => error_page(&state, &DropError::NotFound(Missing::Drop)),
        Err(error) => error_page(&state, &error),
    }
}

/// `POST /admin/drops/{id}/edit`
pub(super) async fn save(
    State(state): State<AppState>,
    session: AdminSession,
    zone: Zone,
    DropId(id): DropId,
    Form(fields): Form<Vec<(String, String)>>,
) -> Response {
    let mut typed = Typed::from(fields);
    let zone = typed.zone.unwrap_or(zone);
    let drop = match Catalog::managed(&state.pool, id).await {
        Ok(Some(drop)) => drop,
        Ok(None) => return error_page(&state, &DropError::NotFound(Missing::Drop)),
        Err(error) => return error_page(&state, &error),
    };
    let opened_at = typed.edit_version;
    let actor = Actor::Session(session.id);
    let both_changed = typed.merge(Typed::of(&drop, zone), drop.status);
    if !both_changed.is_empty() {
        let wanted = Wanted { drop_id: Some(id), since_edit_version: opened_at, ..Wanted::default() };
        let meanwhile = inventory::changes(&state.pool, wanted).await.map(|page| page.changes).unwrap_or_default();
        let is_own = !meanwhile.is_empty() && meanwhile.iter().all(|change| change.actor == actor.to_string());
        let general = match is_own {
            true => desk::EDITED_ELSEWHERE.into(),
            false => EditError::EditedMeanwhile { edit_version: drop.edit_version }.to_string(),
        };
        let problems = Problems { fields: both_changed, general: Some(general), meanwhile };
        return refused(page(&state, zone, Some(&drop), &typed, problems), StatusCode::CONFLICT);
    }
    let fields = match typed.read(zone, Some(&drop)) {
        Ok(parsed) => parsed.into_fields(&drop),
        Err(problems) => return refused(page(&state, zone, Some(&drop), &typed, problems), StatusCode::BAD_REQUEST),
    };
    let action = Action::Change(Box::new(fields));
    let edit = Edit { actor, seen: Seen::Version(drop.edit_version), key: None, action };
    let error = match inventory::edit(&state.inventory, id, edit).await {
        Ok(_) => return done_at(id).into_response(),
        Err(error) => error,
    };
    let status = error.clone().into_response().status();
    refused(page(&state, zone, Some(&drop), &typed, Problems::of_edit(&error)), status)
}

/// `POST /admin/drops/preview`: the same page with the preview of what was typed, and with the rows of sizes that were wanted.
pub(super) async fn preview(
    State(state): State<AppState>,
    _: AdminSession,
    zone: Zone,
    Form(fields): Form<Vec<(String, String)>>,
) -> Response {
    let mut typed = Typed::from(fields);
    typed.change_rows();
    let zone = typed.zone.unwrap_or(zone);
    let drop = match typed.drop_id {
        Some(id) => match Catalog::managed(&state.pool, id).await {
            Ok(Some(drop)) => Some(drop),
            Ok(None) => return error_page(&state, &DropError::NotFound(Missing::Drop)),
            Err(error) => return error_page(&state, &error),
        },
        None => None,
    };
    page(&state, zone, drop.as_ref(), &typed, Problems::default())
}

/// What was typed, as text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Typed {
    name: String,
    description: String,
    price: String,
    image_url: String,
    limit: String,
    starts_at: String,
    ends_at: String,
    /// Of the clocks, where they show the start or the end twice.
    starts_at_offset: String,
    ends_at_offset: String,
    /// On whose clocks the form showed its times, whatever the browser has now.
    #[serde(skip)]
    zone: Option<Zone>,
    /// Labels and stocks.
    sizes: Vec<(String, String)>,
    /// Of the drop that is changed, as the form showed it.
    edit_version: Option<i64>,
    drop_id: Option<i64>,
    /// Of a drop that is changed: what the form showed when it was opened.
    #[serde(skip)]
    was: Option<Box<Typed>>,
    /// Of a new drop: as [`new_form`] made it.
    #[serde(skip)]
    form: String,
    /// What the pressed button stands for.
    #[serde(skip)]
    button: String,
    /// What is wanted of the rows of sizes.
    #[serde(skip)]
    rows: String,
}

impl From<Vec<(String, String)>> for Typed {
    fn from(fields: Vec<(String, String)>) -> Self {
        let (mut typed, mut stocks) = (Self::default(), vec![]);
        for (name, value) in fields {
            match &*name {
                "name" => typed.name = value,
                // Browsers send the line breaks of a text in one form, whatever it had.
                "description" => typed.description = value.replace("\r\n", "\n"),
                "price" => typed.price = value,
                "imageUrl" => typed.image_url = value,
                "limitPerUser" => typed.limit = value,
                "startsAt" => typed.starts_at = value,
                "endsAt" => typed.ends_at = value,
                "startsAtOffset" => typed.starts_at_offset = value,
                "endsAtOffset" => typed.ends_at_offset = value,
                "zone" => typed.zone = Zone::named(&value),
                "sizeLabel" => typed.sizes.push((value, String::new())),
                "sizeStock" => stocks.push(value),
                "editVersion" => typed.edit_version = value.parse().ok(),
                "dropId" => typed.drop_id = value.parse().ok(),
                "was" => typed.was = serde_json::from_str(&value).ok(),
                "form" => typed.form = value,
                "do" => typed.button = value,
                "rows" => typed.rows = value,
                _ => {}
            }
        }
        for ((_, stock), typed_stock) in std::iter::zip(&mut typed.sizes, stocks) {
            *stock = typed_stock;
        }
        typed
    }
}

impl Typed {
    fn of(drop: &ManagedDrop, zone: Zone) -> Self {
        let ManagedDrop { drop, edit_version, .. } = drop;
        let sizes = drop.sizes.iter().map(|size| (size.label.clone(), size.total_stock.to_string()));
        Self {
            name: drop.name.clone(),
            description: drop.description.clone(),
            price: dollars(drop.price_cents),
            image_url: drop.image_url.clone().unwrap_or_default(),
            limit: drop.limit_per_user.map(|limit| limit.to_string()).unwrap_or_default(),
            starts_at: zone.local(drop.starts_at),
            ends_at: drop.ends_at.map(|ends_at| zone.local(ends_at)).unwrap_or_default(),
            starts_at_offset: zone.offset(*drop.starts_at),
            ends_at_offset: drop.ends_at.map(|ends_at| zone.offset(*ends_at)).unwrap_or_default(),
            sizes: sizes.collect(),
            edit_version: Some(*edit_version),
            drop_id: Some(drop.id),
            ..Self::default()
        }
    }

    /// Lays what was changed since the form was opened over what the drop is `now`. The problems are those of fields that were
    /// changed here and elsewhere.
    fn merge(&mut self, now: Self, status: DropStatus) -> Vec<(String, String)> {
        let was = self.was.take().unwrap_or_default();
        let mut both_changed = vec![];
        for (field, typed, was, now) in [
            ("name", &mut self.name, &was.name, &now.name),
            ("description", &mut self.description, &was.description, &now.description),
            ("price", &mut self.price, &was.price, &now.price),
            ("imageUrl", &mut self.image_url, &was.image_url, &now.image_url),
            ("limitPerUser", &mut self.limit, &was.limit, &now.limit),
            ("startsAt", &mut self.starts_at, &was.starts_at, &now.starts_at),
            ("endsAt", &mut self.ends_at, &was.ends_at, &now.ends_at),
        ] {
            if typed == was {
                typed.clone_from(now);
            } else if now != was && now != typed {
                both_changed.push((field.into(), desk::changed_meanwhile(now)));
            }
        }
        for (typed, was, now) in [
            (&mut self.starts_at_offset, &was.starts_at_offset, &now.starts_at_offset),
            (&mut self.ends_at_offset, &was.ends_at_offset, &now.ends_at_offset),
        ] {
            if typed == was {
                typed.clone_from(now);
            }
        }
        // The form asks for those of a draft alone.
        if self.sizes == was.sizes || status != DropStatus::Draft {
            self.sizes.clone_from(&now.sizes);
        } else if now.sizes != was.sizes && now.sizes != self.sizes {
            let sizes: Vec<_> = now.sizes.iter().map(|(label, stock)| format!("{label}: {stock}")).collect();
            both_changed.push(("sizes".into(), desk::changed_meanwhile(&sizes.join(", "))));
        }
        // Who saves again has seen it.
        self.edit_version = now.edit_version;
        self.was = Some(Box::new(now));
        both_changed
    }

    /// Adds, removes or moves a row of sizes, as its button says: `add`, `remove 2`, `up 2`, `down 2`.
    fn change_rows(&mut self) {
        let (what, index) = self.rows.split_once(' ').unwrap_or((&self.rows, ""));
        let index = index.parse().unwrap_or(usize::MAX);
        let count = self.sizes.len();
        match what {
            "add" => self.sizes.push(Default::default()),
            "remove" if index < count => drop(self.sizes.remove(index)),
            "up" if (1..count).contains(&index) => self.sizes.swap(index - 1, index),
            "down" if index.saturating_add(1) < count => self.sizes.swap(index, index + 1),
            _ => {}
        }
    }

    /// Reads every field, so that all problems are seen at once. A time that is still as it was shown is kept to the microsecond.
    fn read(&self, zone: Zone, known: Option<&ManagedDrop>) -> Result<Parsed, Problems> {
        let mut problems = Problems::default();
        let known_time = |typed: &str, offset: &str, time: Option<Timestamp>| {
            time.filter(|time| zone.local(*time) == typed && (offset.is_empty() || zone.offset(**time) == offset))
        };
        let mut time = |field, typed: &str, offset: &str, known| -> Option<SaleTime> {
            let typed = typed.trim();
            if typed.is_empty() {
                return None;
            }
            let time = known_time(typed, offset, known).map_or_else(|| zone.read(typed, offset), |known| Ok(*known));
            problems.take(field, time.and_then(SaleTime::try_from))
        };
        let starts_at =
            time("startsAt", &self.starts_at, &self.starts_at_offset, known.map(|known| known.drop.starts_at));
        let ends_at = time("endsAt", &self.ends_at, &self.ends_at_offset, known.and_then(|known| known.drop.ends_at));
        let name = problems.take("name", DropName::try_from(self.name.clone()));
        let description = problems.take("description", Description::try_from(self.description.clone()));
        let price = problems.take("price", Dollars::typed(&self.price));
        let image_url = Some(self.image_url.trim()).filter(|url| !url.is_empty());
        let image_url = image_url.map(|url| problems.take("imageUrl", ImageUrl::try_from(url.to_owned())));
        let limit = Some(self.limit.trim()).filter(|limit| !limit.is_empty());
        let limit = limit.map(|limit| problems.take("limitPerUser", Pairs::typed(limit)));
        let is_draft = known.is_none_or(|known| known.status == DropStatus::Draft);
        let sizes = if is_draft { Some(self.read_sizes(&mut problems)) } else { None };
        match (name, description, price) {
            (Some(name), Some(description), Some(Dollars(price))) if problems.fields.is_empty() => Ok(Parsed {
                name,
                description,
                price,
                image_url: image_url.flatten(),
                limit_per_user: limit.flatten(),
                starts_at,
                ends_at,
                sizes: sizes.flatten(),
            }),
            _ => Err(problems),
        }
    }

    fn read_sizes(&self, problems: &mut Problems) -> Option<NewSizes> {
        // A row that was added and left empty is none.
        let rows = self
            .sizes
            .iter()
            .enumerate()
            .filter(|(_, (label, stock))| !(label.trim().is_empty() && stock.trim().is_empty()));
        let mut sizes = vec![];
        for (index, (label, stock)) in rows {
            let label = problems.take(&format!("sizes[{index}].label"), label.clone().try_into());
            let stock = problems.take(&format!("sizes[{index}].stock"), Pairs::typed(stock));
            sizes.push(label.zip(stock).map(|(label, stock)| NewSize { label, stock }));
        }
        let sizes = sizes.into_iter().collect::<Option<Vec<_>>>()?;
        match NewSizes::try_from(sizes) {
            Ok(sizes) => Some(sizes),
            Err(DropError::Invalid { field, expected }) => problems.take(&field, Err(expected)),
            Err(_) => None,
        }
    }

    /// A drop like it, whatever cannot be read left out.
    fn sample(&self, zone: Zone, now: DateTime<Utc>) -> SneakerDrop {
        let sizes = self.sizes.iter().filter_map(|(label, stock)| {
            let stock = Pairs::typed(stock).ok()?.get() as i32;
            let label = String::from(inventory::Label::<20>::try_from(label.clone()).ok()?);
            Some(Size { label, total_stock: stock, available_stock: stock })
        });
        let mut sizes: Vec<_> = sizes.collect();
        if sizes.is_empty() {
            sizes.push(Size { label: ONE_SIZE.into(), total_stock: 100, available_stock: 100 });
        }
        let total_stock = sizes.iter().map(|size| i64::from(size.total_stock)).sum::<i64>().min(1_000_000) as i32;
        let time = |typed: &str, offset: &str| zone.read(typed, offset).ok().map(Timestamp::from);
        let price = Dollars::typed(&self.price).map_or(-1, |price| price.0.get() as i32);
        SneakerDrop {
            id: self.drop_id.unwrap_or(1),
            name: DropName::try_from(self.name.clone()).map_or_else(|_| desk::NEW_DROP.into(), String::from),
            description: Description::try_from(self.description.clone()).map(String::from).unwrap_or_default(),
            price_cents: price,
            image_url: ImageUrl::try_from(self.image_url.trim().to_owned()).ok().map(String::from),
            limit_per_user: Pairs::typed(&self.limit).ok().map(|limit| limit.get() as i32),
            version: 1,
            starts_at: time(&self.starts_at, &self.starts_at_offset).unwrap_or(now.into()),
            ends_at: time(&self.ends_at, &self.ends_at_offset),
            paused: false,
            total_stock,
            available_stock: total_stock,
            held_stock: 0,
            sizes,
            latest_purchasers: vec![],
        }
    }
}

/// What was typed, if all of it could be read.
struct Parsed {
    name: DropName,
    description: Description,
    price: PriceCents,
    image_url: Option<ImageUrl>,
    limit_per_user: Option<Pairs>,
    starts_at: Option<SaleTime>,
    ends_at: Option<SaleTime>,
    /// `None` if the form did not ask for them.
    sizes: Option<NewSizes>,
}

impl Parsed {
    fn into_new_drop(self, is_draft: bool, now: DateTime<Utc>) -> Result<NewDrop, Problems> {
        let mut problems = Problems::default();
        // What is published opens at the moment of publishing, at the earliest.
        let starts_at = self.starts_at.filter(|starts_at| is_draft || starts_at.0 > now);
        let sale = problems.take("endsAt", SaleWindow::new(starts_at, self.ends_at, now));
        let (Some(sale), Some(sizes)) = (sale, self.sizes) else { return Err(problems) };
        Ok(NewDrop {
            name: self.name,
            description: self.description,
            price: self.price,
            image_url: self.image_url,
            limit_per_user: self.limit_per_user,
            sale,
            sizes,
            is_draft,
            idempotency_key: None,
        })
    }

    /// Without a start the drop keeps its own.
    fn into_fields(self, drop: &ManagedDrop) -> Fields {
        Fields {
            name: Some(self.name),
            description: Some(self.description),
            price: Some(self.price),
            image_url: Some(self.image_url),
            limit_per_user: Some(self.limit_per_user),
            starts_at: self.starts_at,
            ends_at: Some(self.ends_at),
            sizes: self.sizes.filter(|_| drop.status == DropStatus::Draft),
        }
    }
}

/// Why a form was not accepted.
#[derive(Default)]
struct Problems {
    /// By field, the requirement as the rest of a sentence that begins with the field's name.
    fields: Vec<(String, String)>,
    /// What is wrong with all of it.
    general: Option<String>,
    /// What others changed since the form was opened.
    meanwhile: Vec<Change>,
}

impl Problems {
    fn of_edit(error: &EditError) -> Self {
        match error {
            EditError::Drop(DropError::Invalid { field, expected }) => {
                Self { fields: vec![(field.clone(), expected.clone())], ..Self::default() }
            }
            error => Self { general: Some(error.to_string()), ..Self::default() },
        }
    }

    /// The value, or nothing and its problem is kept.
    fn take<T, E: ToString>(&mut self, field: &str, read: Result<T, E>) -> Option<T> {
        match read {
            Ok(value) => Some(value),
            Err(expected) => {
                self.fields.push((field.into(), expected.to_string()));
                None
            }
        }
    }

    fn of(&self, field: &str) -> Option<String> {
        self.fields.iter().find(|(name, _)| name == field).map(|(_, expected)| expected.clone())
    }
}

fn refused(mut page: Response, status: StatusCode) -> Response {
    *page.status_mut() = status;
    page
}

/// `149.5` as it can be typed again: `149.50`.
fn dollars(cents: i32) -> String {
    if cents % 100 == 0 { (cents / 100).to_string() } else { format!("{}.{:02}", cents / 100, cents % 100) }
}

fn page(state: &AppState, zone: Zone, drop: Option<&ManagedDrop>, typed: &Typed, problems: Problems) -> Response {
    let now = state.clock.now();
    let title = drop.map_or(desk::NEW_DROP.into(), |drop| desk::edit_title(&drop.drop.name));
    let typed = match drop {
        // The form does not ask for these.
        Some(drop) if drop.status != DropStatus::Draft => Typed { sizes: Typed::of(drop, zone).sizes, ..typed.clone() },
        _ => typed.clone(),
    };
    let place = if drop.is_some() { Place::Other(&title) } else { Place::NewDrop };
    let content = content(zone, drop, &typed, &problems, now);
    document(state, place, content)
}

fn content(
    zone: Zone,
    drop: Option<&ManagedDrop>,
    typed: &Typed,
    problems: &Problems,
    now: DateTime<Utc>,
) -> impl IntoView + use<> {
    let is_draft = drop.is_none_or(|drop| drop.status == DropStatus::Draft);
    let has_started = drop.is_some_and(|drop| !is_draft && *drop.drop.starts_at <= now);
    let heading = drop.map_or(desk::NEW_DROP.into(), |drop| desk::edit_title(&drop.drop.name));
    let action = drop.map_or("/admin/drops".into(), |drop| format!("/admin/drops/{}/edit", drop.drop.id));
    let sample = typed.sample(zone, now);
    let opens_at_once = is_draft && *sample.starts_at <= now;
    let publish = publish_label(zone, sample.starts_at, now);
    let buttons = match drop {
        None => Either::Left(view! {
            <button class="primary" name="do" value="draft">
                {desk::SAVE_DRAFT}
            </button>
            <button id="publish" class="secondary" name="do" value="publish" data-live="">
                {publish}
            </button>
        }),
        Some(_) => Either::Right(view! { <button class="primary">{desk::SAVE}</button> }),
    };
    let hidden = match drop {
        None => Either::Left(view! { <input type="hidden" name="form" value=typed.form.clone() /> }),
        Some(drop) => Either::Right(view! {
            <input type="hidden" name="dropId" value=drop.drop.id />
            <input type="hidden" name="editVersion" value=typed.edit_version.unwrap_or(drop.edit_version) />
            <input type="hidden" name="was" value=json!(typed.was.as_deref().unwrap_or(typed)).to_string() />
        }),
    };
    let field = |id, label, hint, value: &str, kind| Field {
        id,
        label,
        hint,
        value: value.to_owned(),
        problem: problems.of(id),
        kind,
    };
    view! {
        <h1>{heading}</h1>
        {summary(problems, zone)}
        <div class="drop-form">
        <form class="fields" method="post" action=action data-preview="/admin/drops/preview">
            // What the Enter key presses.
            <button class="visually-hidden" tabindex="-1" aria-hidden="true" name="do" value="draft"></button>
            {hidden}
            <input type="hidden" name="zone" value=zone.name() />
                {field("name", desk::NAME, None, &typed.name, Kind::Text).view()}
                {field("description", desk::DESCRIPTION, Some(desk::DESCRIPTION_HINT), &typed.description, Kind::Paragraphs).view()}
                {field("price", desk::PRICE_IN_DOLLARS, None, &typed.price, Kind::Decimal).view()}
                <p class="zone quiet">{desk::times_in(zone.name())}</p>
                {field("startsAt", desk::START, has_started.then_some(desk::STARTED_HINT).or(Some(desk::START_HINT)), &typed.starts_at, if has_started { Kind::Fixed } else { Kind::Time }).view()}
                {which_time(zone, "startsAt", &typed.starts_at, &typed.starts_at_offset)}
                <p id="opens-at-once" class="quiet" data-live="">
                    {opens_at_once.then_some(desk::OPENS_AT_ONCE)}
                </p>
                {field("endsAt", desk::END, Some(desk::END_HINT), &typed.ends_at, Kind::Time).view()}
                {which_time(zone, "endsAt", &typed.ends_at, &typed.ends_at_offset)}
                {field("limitPerUser", desk::LIMIT, Some(desk::LIMIT_HINT), &typed.limit, Kind::Whole).view()}
                {field("imageUrl", desk::PICTURE, Some(desk::PICTURE_HINT), &typed.image_url, Kind::Text).view()}
                <p id="picture-missing" class="field-error" role="alert" hidden="">{desk::PICTURE_MISSING}</p>
                {if is_draft { Either::Left(size_rows(typed, problems)) } else { Either::Right(view! { <p class="quiet">{desk::SIZES_ELSEWHERE}</p> }) }}
                <div class="buttons">
                    {buttons}
                    <button class="secondary" formaction="/admin/drops/preview" formnovalidate="">
                        {desk::PREVIEW}
                    </button>
                </div>
        </form>
            <div class="preview">
                <h2 id="preview-title">{desk::PREVIEW}</h2>
                <div id="preview" class="cards" data-live="" tabindex="0" role="region" aria-labelledby="preview-title">
                    {preview::cards(&sample, now)}
                </div>
                <p id="preview-description" class="description" dir="auto" data-live="">{sample.description.clone()}</p>
            </div>
        </div>
    }
}

/// Every problem with a link to its field, announced when the page comes.
fn summary(problems: &Problems, zone: Zone) -> impl IntoView + use<> {
    let fields: Vec<_> = problems
        .fields
        .iter()
        .map(|(field, expected)| {
            let sentence = desk::problem(field, expected);
            view! {
                <li>
                    <a href=format!("#{}", input_id(field))>{sentence}</a>
                </li>
            }
        })
        .collect();
    let meanwhile = list_of_changes(&problems.meanwhile, zone);
    let general = problems.general.clone();
    (!fields.is_empty() || general.is_some()).then(|| {
        view! {
            <div class="problems" role="alert">
                <p>{general.unwrap_or_else(|| desk::NOT_SAVED.into())}</p>
                {meanwhile}
                <ul>{fields}</ul>
            </div>
        }
    })
}

/// The id of a field's input.
fn input_id(field: &str) -> String {
    field.replace(['[', ']', '.'], "-")
}

struct Field {
    /// Also its name.
    id: &'static str,
    label: &'static str,
    hint: Option<&'static str>,
    value: String,
    problem: Option<String>,
    kind: Kind,
}

enum Kind {
    Text,
    Paragraphs,
    Decimal,
    Whole,
    /// A local time.
    Time,
    /// A local time that cannot be changed.
    Fixed,
}

impl Field {
    fn view(self) -> impl IntoView {
        let Self { id, label, hint, value, problem, kind } = self;
        let is_invalid = problem.is_some().then_some("true");
        let described_by = format!("{id}-hint {id}-problem");
        let (input_type, input_mode) = match kind {
            Kind::Time | Kind::Fixed => ("datetime-local", None),
            Kind::Decimal => ("text", Some("decimal")),
            Kind::Whole => ("text", Some("numeric")),
            Kind::Text | Kind::Paragraphs => ("text", None),
        };
        let input = match kind {
            Kind::Paragraphs => Either::Left(view! {
                <textarea id=id name=id rows="5" dir="auto" maxlength="4000" aria-invalid=is_invalid aria-describedby=described_by>
                    {value}
                </textarea>
            }),
            kind => Either::Right(view! {
                <input
                    id=id
                    name=id
                    type=input_type
                    inputmode=input_mode
                    dir=matches!(kind, Kind::Text).then_some("auto")
                    value=value
                    readonly=matches!(kind, Kind::Fixed)
                    autocomplete="off"
                    aria-invalid=is_invalid
                    aria-describedby=described_by
                />
            }),
        };
        view! {
            <div class="field" data-field=id>
                <label for=id>{label}</label>
                {input}
                <p id=format!("{id}-hint") class="quiet">{hint}</p>
                <p id=format!("{id}-problem") class="field-error">{problem.map(|expected| desk::problem(id, &expected))}</p>
            </div>
        }
    }
}

/// Asks which of the two is meant, if clocks show a time twice.
fn which_time(zone: Zone, field: &'static str, typed: &str, offset: &str) -> impl IntoView + use<> {
    let choices = zone.twice(typed.trim()).map(|times| {
        let choices = times.map(|time| {
            let value = zone.offset(time.to_utc());
            let is_chosen = value == offset;
            view! {
                <label>
                    <input type="radio" name=format!("{field}Offset") value=value checked=is_chosen />
                    " "
                    {desk::clock_time(&time)}
                </label>
                " "
            }
        });
        view! {
            <div role="radiogroup" aria-label=desk::which_time(field)>
                <p class="quiet">{desk::which_time(field)}</p>
                {choices.collect_view()}
            </div>
        }
    });
    view! {
        <div id=format!("{field}-which") data-live="">
            {choices}
        </div>
    }
}

fn size_rows(typed: &Typed, problems: &Problems) -> impl IntoView + use<> {
    let count = typed.sizes.len();
    let is_full = count >= MAX_SIZES;
    let rows = typed.sizes.iter().enumerate().map(|(index, (label, stock))| {
        let (label_field, stock_field) = (format!("sizes[{index}].label"), format!("sizes[{index}].stock"));
        let problem = problems.of(&label_field).map(|expected| desk::problem(&label_field, &expected));
        let problem =
            problem.or_else(|| problems.of(&stock_field).map(|expected| desk::problem(&stock_field, &expected)));
        let button = |what: &str, label: String, sign: &'static str, is_off: bool| {
            view! {
                <button
                    id=format!("{what}-{index}")
                    class="quiet"
                    name="rows"
                    value=format!("{what} {index}")
                    formaction="/admin/drops/preview"
                    formnovalidate=""
                    aria-label=label
                    disabled=is_off
                >
                    {sign}
                </button>
            }
        };
        view! {
            <li>
                <input
                    id=input_id(&label_field)
                    name="sizeLabel"
                    value=label.clone()
                    dir="auto"
                    aria-label=desk::size_label(index)
                    aria-invalid=problems.of(&label_field).map(|_| "true")
                    autocomplete="off"
                />
                <input
                    id=input_id(&stock_field)
                    name="sizeStock"
                    value=stock.clone()
                    inputmode="numeric"
                    aria-label=desk::size_stock(index)
                    aria-invalid=problems.of(&stock_field).map(|_| "true")
                    autocomplete="off"
                />
                {button("up", desk::move_up(index), "↑", index == 0)}
                {button("down", desk::move_down(index), "↓", index + 1 == count)}
                {button("remove", desk::remove_size(index), "×", count == 1)}
                <p class="field-error">{problem}</p>
            </li>
        }
    });
    view! {
        <fieldset id="sizes" class="size-rows" data-rows="" tabindex="-1">
            <legend>{desk::SIZES_AND_STOCK}</legend>
            <p class="quiet">{desk::SIZES_HINT}</p>
            <p class="field-error">{problems.of("sizes").map(|expected| desk::problem("sizes", &expected))}</p>
            <ol>{rows.collect_view()}</ol>
            <button
                id="add-size"
                class="secondary"
                name="rows"
                value="add"
                formaction="/admin/drops/preview"
                formnovalidate=""
                disabled=is_full
            >
                {desk::ADD_A_SIZE}
            </button>
            {is_full.then(|| view! { <p class="quiet">{desk::most_sizes(MAX_SIZES)}</p> })}
        </fieldset>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(rows: &str) -> Vec<String> {
        let fields = [("sizeLabel", "S"), ("sizeStock", "1"), ("sizeLabel", "M"), ("sizeStock", "2"), ("rows", rows)];
        let mut typed = Typed::from(fields.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec());
        typed.change_rows();
        typed.sizes.into_iter().map(|(label, stock)| label + &stock).collect()
    }

    #[test]
    fn rows_of_sizes_come_go_and_move_with_what_was_typed() {
        assert_eq!(typed("add"), ["S1", "M2", ""]);
        assert_eq!(typed("remove 0"), ["M2"]);
        assert_eq!(typed("up 1"), ["M2", "S1"]);
        assert_eq!(typed("down 0"), ["M2", "S1"]);
        for nothing in ["", "up 0", "down 1", "remove 2", "remove", "up 18446744073709551615", "turn 1"] {
            assert_eq!(typed(nothing), ["S1", "M2"], "{nothing}");
        }
    }

    fn shown(name: &str, price: &str, sizes: &[(&str, &str)]) -> Typed {
        let sizes = sizes.iter().map(|(label, stock)| ((*label).into(), (*stock).into())).collect();
        Typed { name: name.into(), price: price.into(), sizes, ..Typed::default() }
    }

    #[test]
    fn what_was_not_touched_is_as_it_is_now_and_what_both_changed_is_a_problem() {
        let [one, two] = [[("S", "1")], [("S", "2")]];
        let was = shown("Court", "199", &one);
        for (typed, now, expected, problems) in [
            (was.clone(), was.clone(), was.clone(), vec![]),
            (was.clone(), shown("Volt", "19", &two), shown("Volt", "19", &two), vec![]),
            (shown("Volt", "199", &one), was.clone(), shown("Volt", "199", &one), vec![]),
            (shown("Volt", "199", &one), shown("Court", "19", &two), shown("Volt", "19", &two), vec![]),
            (shown("Court", "199", &two), shown("Court", "19", &one), shown("Court", "19", &two), vec![]),
            (shown("Volt", "19", &two), shown("Volt", "19", &two), shown("Volt", "19", &two), vec![]),
            (shown("Volt", "9", &one), shown("Court", "19", &one), shown("Volt", "9", &one), vec!["price"]),
            (
                shown("Volt", "9", &two),
                shown("Night", "19", &[]),
                shown("Volt", "9", &two),
                vec!["name", "price", "sizes"],
            ),
        ] {
            let mut merged = Typed { was: Some(Box::new(was.clone())), ..typed };
            let both_changed = merged.merge(now.clone(), DropStatus::Draft);
            assert_eq!(both_changed.iter().map(|(field, _)| &**field).collect::<Vec<_>>(), problems);
            assert_eq!(merged, Typed { was: Some(Box::new(now)), ..expected });
        }
        // The form of what is published has no sizes.
        let mut merged = Typed { was: Some(Box::new(was)), ..shown("Volt", "199", &[]) };
        assert!(merged.merge(shown("Court", "199", &two), DropStatus::Published).is_empty());
        assert_eq!((&*merged.name, &merged.sizes[..]), ("Volt", &[("S".into(), "2".into())][..]));
    }
}
