//! What of a drop can be edited, and which edits are allowed.

use super::{
    edit::{Action, Fields, Move, PairsMoved},
    new_drop::{MAX_SIZES, MAX_STOCK},
    state::DropState,
    transaction::LockedDrop,
};
use crate::{
    domain::{
        Timestamp,
        edit::{EditError, Refusal},
        error::DropError,
    },
    server::{catalog::DropStatus, visible_text::key_of},
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value, json};
use sqlx::PgConnection;

/// The fields of a drop that can be edited.
#[derive(Clone, PartialEq, Serialize)]
pub(super) struct Edited {
    name: String,
    description: String,
    price_cents: i32,
    image_url: Option<String>,
    limit_per_user: Option<i32>,
    starts_at: Timestamp,
    ends_at: Option<Timestamp>,
    status: DropStatus,
    is_paused: bool,
    /// In display order, with their total stock.
    #[serde(skip)]
    sizes: Vec<(String, i32)>,
    #[serde(skip)]
    pub(super) edit_version: i64,
}

impl Edited {
    pub(super) async fn read(connection: &mut PgConnection, drop_id: i64) -> Result<Self, sqlx::Error> {
        let row = sqlx::query!(
            r#"select d.name, d.price_cents, d.image_url, d.limit_per_user, d.starts_at, d.ends_at, d.is_paused,
                      d.status as "status: DropStatus", d.edit_version, coalesce(t.description, '') as "description!"
               from drops d left join drop_descriptions t on t.drop_id = d.id where d.id = $1"#,
            drop_id
        );
        let row = row.fetch_one(&mut *connection).await?;
        let sizes =
            sqlx::query!("select label, total_stock from drop_sizes where drop_id = $1 order by position", drop_id);
        let sizes = sizes.fetch_all(connection).await?;
        Ok(Self {
            name: row.name,
            description: row.description,
            price_cents: row.price_cents,
            image_url: row.image_url,
            limit_per_user: row.limit_per_user,
            starts_at: row.starts_at.into(),
            ends_at: row.ends_at.map(Into::into),
            status: row.status,
            is_paused: row.is_paused,
            sizes: sizes.into_iter().map(|size| (size.label, size.total_stock)).collect(),
            edit_version: row.edit_version,
        })
    }

    /// Changes the fields as the action says, if the drop allows it now. Returns the name of the action in the log.
    pub(super) fn apply(&mut self, action: Action, drop: &DropState) -> Result<&'static str, EditError> {
        let now = drop.now;
        let has_started = self.status != DropStatus::Draft && *self.starts_at <= now;
        let has_ended = self.ends_at.is_some_and(|ends_at| *ends_at <= now);
        let held: i32 = drop.sizes.iter().map(|size| size.held).sum();
        match action {
            Action::Change(fields) => {
                self.change(*fields, now, has_started, has_ended)?;
                Ok("edited")
            }
            Action::Publish => {
                if self.status == DropStatus::Draft && has_ended {
                    return Err(Refusal::EndHasPassed.into());
                }
                // What was sold was sold since the opening. Otherwise the sale opens now, and not when it was written.
                let is_sold = self.sizes.iter().map(|(_, total)| total).sum::<i32>() > drop.available() + held;
                if self.status != DropStatus::Published && *self.starts_at <= now && !has_ended && !is_sold {
                    self.starts_at = now.into();
                }
                self.status = DropStatus::Published;
                Ok("published")
            }
            Action::Unpublish if self.status == DropStatus::Published && has_started => Err(Refusal::HasStarted.into()),
            Action::Unpublish if self.status == DropStatus::Archived => Err(Refusal::IsNotPublished.into()),
            Action::Unpublish => {
                self.status = DropStatus::Draft;
                // A draft is published to be sold.
                self.is_paused = false;
                Ok("unpublished")
            }
            Action::Pause | Action::EndNow if self.status != DropStatus::Published => {
                Err(Refusal::IsNotPublished.into())
            }
            Action::Pause => {
                self.is_paused = true;
                Ok("paused")
            }
            Action::Resume => {
                self.is_paused = false;
                Ok("resumed")
            }
            Action::EndNow if !has_started || *self.starts_at == now => Err(Refusal::HasNotStarted.into()),
            Action::EndNow => {
                if !has_ended {
                    self.ends_at = Some(now.into());
                }
                Ok("ended")
            }
            Action::Archive => {
                let is_over = has_ended || has_started && drop.available() == 0;
                if self.status == DropStatus::Published && !(is_over && held == 0) {
                    return Err(Refusal::IsNotOver.into());
                }
                self.status = DropStatus::Archived;
                Ok("archived")
            }
            Action::Stock(moved) => {
                self.move_pairs(moved, drop)?;
                Ok("stock")
            }
            // They change no field.
            Action::Cancel { .. } => Ok("cancelled"),
            Action::RemoveReason { .. } => Ok("reason_removed"),
        }
    }

    fn change(
        &mut self,
        fields: Fields,
        now: DateTime<Utc>,
        has_started: bool,
        has_ended: bool,
    ) -> Result<(), EditError> {
        let starts_at = fields.starts_at.map_or(self.starts_at, |time| time.0.into());
        let ends_at = fields.ends_at.map_or(self.ends_at, |time| time.map(|time| time.0.into()));
        if starts_at != self.starts_at && has_started {
            return Err(Refusal::HasStarted.into());
        }
        if ends_at != self.ends_at && self.status != DropStatus::Draft {
            if has_ended {
                return Err(Refusal::HasEnded.into());
            }
            if ends_at.is_some_and(|ends_at| *ends_at <= now) {
                return Err(DropError::invalid("endsAt", "must be in the future").into());
            }
        }
        if ends_at.is_some_and(|ends_at| ends_at <= starts_at) {
            let end_is_new = fields.ends_at.is_some();
            let (field, expected) =
                if end_is_new { ("endsAt", "must be after the start") } else { ("startsAt", "must be before the end") };
            return Err(DropError::invalid(field, expected).into());
        }
        (self.starts_at, self.ends_at) = (starts_at, ends_at);
        if let Some(sizes) = fields.sizes {
            let sizes: Vec<_> = sizes.0.into_iter().map(|size| (size.label.into(), size.stock.get() as i32)).collect();
            if sizes != self.sizes && self.status != DropStatus::Draft {
                return Err(Refusal::IsNoDraft.into());
            }
            self.sizes = sizes;
        }
        if let Some(name) = fields.name {
            self.name = name.into();
        }
        if let Some(description) = fields.description {
            self.description = description.0;
        }
        if let Some(price) = fields.price {
            self.price_cents = price.get() as i32;
        }
        if let Some(image_url) = fields.image_url {
            self.image_url = image_url.map(String::from);
        }
        if let Some(limit) = fields.limit_per_user {
            self.limit_per_user = limit.map(|limit| limit.get() as i32);
        }
        Ok(())
    }

    fn move_pairs(&mut self, moved: PairsMoved, drop: &DropState) -> Result<(), EditError> {
        let PairsMoved { size, pairs, kind } = moved;
        let (label, pairs) = (String::from(size), pairs.get());
        let total: i64 = self.sizes.iter().map(|(_, total)| i64::from(*total)).sum();
        if kind != Move::TakeBack && total + pairs > MAX_STOCK {
            return Err(DropError::invalid("pairs", format!("must not make more than {MAX_STOCK} pairs in all")).into());
        }
        let pairs = pairs as i32;
        if kind == Move::AddSize {
            let key = key_of(&label);
            if let Some((_, total)) = self.sizes.iter_mut().find(|(known, _)| key_of(known) == key) {
                if *total > 0 {
                    return Err(Refusal::SizeExists.into());
                }
                // All of its pairs were taken back, so nobody sees it.
                *total = pairs;
                return Ok(());
            }
            if self.sizes.len() >= MAX_SIZES {
                return Err(DropError::invalid("size", format!("must be one of at most {MAX_SIZES}")).into());
            }
            self.sizes.push((label, pairs));
            return Ok(());
        }
        match (kind, self.sizes.iter_mut().find(|(known, _)| *known == label)) {
            (_, None) => return Err(Refusal::NoSuchSize.into()),
            (Move::Add | Move::AddSize, Some((_, total))) => *total += pairs,
            (Move::TakeBack, Some((_, total))) => {
                let locked = drop.sizes.iter().find(|locked| locked.size.label == label);
                let available = locked.map_or(0, |locked| locked.size.available_stock);
                if pairs > available {
                    return Err(Refusal::NotAvailable { available }.into());
                }
                *total -= pairs;
            }
        }
        Ok(())
    }

    /// Writes these fields in the place of those `before`.
    pub(super) async fn write(&self, before: &Self, drop: &mut LockedDrop, drop_id: i64) -> Result<(), sqlx::Error> {
        sqlx::query!(
            "update drops
             set name = $2, price_cents = $3, image_url = $4, limit_per_user = $5, starts_at = $6, ends_at = $7,
                 status = $8, is_paused = $9, edit_version = $10
             where id = $1",
            drop_id,
            self.name,
            self.price_cents,
            self.image_url,
            self.limit_per_user,
            *self.starts_at,
            self.ends_at.map(|ends_at| *ends_at),
            self.status as DropStatus,
            self.is_paused,
            self.edit_version
        )
        .execute(drop.connection())
        .await?;
        if self.description != before.description {
            super::audit::set_description(drop.connection(), drop_id, &self.description).await?;
        }
        if self.sizes != before.sizes {
            self.write_sizes(drop, drop_id).await?;
        }
        drop.mark_edited();
        Ok(())
    }

    async fn write_sizes(&self, drop: &mut LockedDrop, drop_id: i64) -> Result<(), sqlx::Error> {
        let (labels, totals): (Vec<_>, Vec<_>) = self.sizes.iter().cloned().unzip();
        // Of a draft, which nobody reserved. The foreign keys of reservations keep every other size.
        sqlx::query!("delete from drop_sizes where drop_id = $1 and label <> all($2)", drop_id, &labels)
            .execute(drop.connection())
            .await?;
        sqlx::query!(
            "insert into drop_sizes (drop_id, label, position, total_stock, available_stock)
             select $1, label, position, total, total
             from unnest($2::text[], $3::integer[]) with ordinality as new (label, total, position)
             on conflict on constraint drop_sizes_label_unique do update
             set position = excluded.position, total_stock = excluded.total_stock,
                 available_stock = drop_sizes.available_stock + excluded.total_stock - drop_sizes.total_stock",
            drop_id,
            &labels,
            &totals
        )
        .execute(drop.connection())
        .await?;
        drop.set_totals(&self.sizes);
        Ok(())
    }

    /// The fields that differ, with their values in both, and the edit version of the later one.
    pub(super) fn differences(&self, after: &Self) -> (Value, Value, i64) {
        let object = |edited: &Self| match json!(edited) {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        let (mut old, mut new) = (object(self), object(after));
        old.retain(|field, value| new.get(field) != Some(value));
        new.retain(|field, _| old.contains_key(field));
        let labels = |edited: &Self| edited.sizes.iter().map(|(label, _)| label.clone()).collect::<Vec<_>>();
        let changed = |these: &Self, others: &Self| -> Map<String, Value> {
            let changed = these.sizes.iter().filter(|size| !others.sizes.contains(size));
            changed.map(|(label, total)| (label.clone(), json!(total))).collect()
        };
        for (fields, these, others) in [(&mut old, self, after), (&mut new, after, self)] {
            let sizes = changed(these, others);
            if !sizes.is_empty() {
                fields.insert("sizes".into(), sizes.into());
            }
            if these.sizes.len() == others.sizes.len() && labels(these) != labels(others) {
                fields.insert("order".into(), labels(these).into());
            }
        }
        (old.into(), new.into(), after.edit_version)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            new_drop::SaleTime,
            state::{DropState, LockedSize},
        },
        *,
    };
    use crate::domain::Size;
    use std::collections::HashMap;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).expect("in range")
    }

    /// On sale from 0 to 100 seconds, with 5 pairs.
    fn edited(status: DropStatus) -> Edited {
        Edited {
            name: "Volt Runner".into(),
            description: String::new(),
            price_cents: 19_900,
            image_url: None,
            limit_per_user: None,
            starts_at: at(0).into(),
            ends_at: Some(at(100).into()),
            status,
            is_paused: false,
            sizes: vec![("S".into(), 5)],
            edit_version: 1,
        }
    }

    fn locked(now: DateTime<Utc>, available_stock: i32, held: i32) -> DropState {
        let size = Size { label: "S".into(), total_stock: 5, available_stock };
        DropState {
            price_cents: 19_900,
            limit_per_user: None,
            starts_at: at(0),
            ends_at: Some(at(100)),
            is_published: true,
            is_paused: false,
            now,
            first_expiry: None,
            sizes: vec![LockedSize { id: 1, size, held }],
            users: HashMap::new(),
        }
    }

    #[test]
    fn a_sale_opens_at_the_moment_of_publishing_unless_that_is_before_its_start_or_a_pair_is_sold() {
        use DropStatus::{Archived, Draft, Published};
        for (status, now, available, start) in [
            (Draft, 40, 5, 40),
            (Draft, 0, 5, 0),
            (Draft, -40, 5, 0),
            (Archived, 40, 5, 40),
            (Archived, 40, 4, 0),
            (Archived, -40, 5, 0),
            (Archived, 140, 5, 0),
            (Published, 40, 5, 0),
        ] {
            let mut drop = edited(status);
            drop.apply(Action::Publish, &locked(at(now), available, 0)).expect("allowed");
            let case = format!("{status:?} at {now}, {available} available");
            assert_eq!((drop.status, *drop.starts_at), (Published, at(start)), "{case}");
        }
        let refused = edited(Draft).apply(Action::Publish, &locked(at(100), 5, 0));
        assert_eq!(refused, Err(Refusal::EndHasPassed.into()));
    }

    #[test]
    fn what_has_ended_keeps_its_end() {
        use DropStatus::{Archived, Draft, Published};
        let change = |status, now, ends_at: Option<i64>| {
            let ends_at = ends_at.map(|seconds| SaleTime(at(seconds)));
            let fields = Fields { ends_at: Some(ends_at), ..Fields::default() };
            edited(status).apply(Action::Change(Box::new(fields)), &locked(at(now), 5, 0))
        };
        for ends_at in [None, Some(50), Some(300)] {
            for status in [Published, Archived] {
                for now in [100, 200] {
                    assert_eq!(change(status, now, ends_at), Err(Refusal::HasEnded.into()), "{status:?} at {now}");
                }
            }
            assert_eq!(change(Draft, 200, ends_at), Ok("edited"), "it was never on sale");
        }
        assert_eq!(change(Published, 200, Some(100)), Ok("edited"), "it is the same");
        assert_eq!(change(Published, 99, Some(300)), Ok("edited"));
    }

    #[test]
    fn only_what_is_over_is_archived() {
        use DropStatus::{Archived, Draft, Published};
        for (status, now, available, held, is_allowed) in [
            (Draft, -40, 5, 0, true),
            (Archived, 40, 5, 0, true),
            (Published, -40, 5, 0, false),
            (Published, -40, 0, 0, false),
            (Published, 40, 5, 0, false),
            (Published, 40, 0, 1, false),
            (Published, 40, 0, 0, true),
            (Published, 100, 5, 0, true),
            (Published, 100, 4, 1, false),
        ] {
            let archived = edited(status).apply(Action::Archive, &locked(at(now), available, held));
            assert_eq!(archived.is_ok(), is_allowed, "{status:?} at {now}, {available} available, {held} held");
        }
    }

    #[test]
    fn a_draft_is_not_paused() {
        let mut drop = Edited { is_paused: true, ..edited(DropStatus::Published) };
        drop.apply(Action::Unpublish, &locked(at(-1), 5, 0)).expect("allowed");
        assert_eq!((drop.status, drop.is_paused), (DropStatus::Draft, false));
    }
}
