//! The form that filters the drops, by the address alone.

use crate::{
    domain::{ONE_SIZE, Snapshot, SneakerDrop},
    text,
    ui::router::Page,
};
use axum::http::Uri;
use leptos::prelude::*;

/// What the dashboard's address says of the drops that it shows.
#[derive(PartialEq, Default)]
pub(crate) struct Wanted {
    /// `live` or `upcoming`.
    pub(crate) show: Option<String>,
    pub(crate) size: Option<String>,
}

impl Wanted {
    /// A size that no drop has is nobody's: anyone's link may invent one.
    pub(crate) fn read(uri: &Uri, drops: &[SneakerDrop]) -> Self {
        let mut query = super::super::query::query(uri);
        let mut value = |name| query.remove(name).filter(|_| Page::at(uri.path()) == Page::Dashboard);
        let mut sizes = drops.iter().flat_map(|drop| &drop.sizes);
        Self {
            show: value("show").filter(|show| matches!(&**show, "live" | "upcoming")),
            size: value("size").filter(|wanted| sizes.any(|size| size.label == *wanted)),
        }
    }
}

pub(super) fn content(filter: &Wanted, snapshot: &Snapshot) -> impl IntoView + use<> {
    let mut sizes: Vec<_> = snapshot.drops.iter().flat_map(|drop| &drop.sizes).map(|size| size.label.clone()).collect();
    sizes.retain(|size| size != ONE_SIZE);
    sizes.sort_by(|a, b| natural(a).partial_cmp(&natural(b)).unwrap_or(std::cmp::Ordering::Equal));
    sizes.dedup();
    let option = |value: String, label: String, chosen: &Option<String>| {
        let is_chosen = chosen.as_ref() == Some(&value) || chosen.is_none() && value.is_empty();
        view! {
            <option value=value selected=is_chosen>
                {label}
            </option>
        }
    };
    let sizes = sizes.into_iter().map(|size| option(size.clone(), size, &filter.size)).collect_view();
    let shows = [("live", text::LIVE_NOW), ("upcoming", text::UPCOMING)];
    let shows = shows.map(|(value, label)| option(value.into(), label.into(), &filter.show)).collect_view();
    view! {
        <form class="filters" method="get" action=Page::Dashboard.to_string()>
            <label class="visually-hidden" for="filter-size">{text::SIZE}</label>
            <select id="filter-size" name="size">
                    {option(String::new(), text::ANY.into(), &filter.size)} {sizes}
                </select>
            <label class="visually-hidden" for="filter-show">{text::SHOW}</label>
            <select id="filter-show" name="show">
                    {option(String::new(), text::EVERYTHING.into(), &filter.show)} {shows}
                </select>
            <button class="secondary">{text::FILTER}</button>
        </form>
    }
}

/// So that `US 9.5` stands between `US 9` and `US 10`: the letters, then the number.
pub(in crate::server::http) fn natural(label: &str) -> (String, f64, &str) {
    let from = label.find(|character: char| character.is_ascii_digit()).unwrap_or(label.len());
    let (letters, number) = label.split_at(from);
    let to = number.find(|character: char| !character.is_ascii_digit() && character != '.').unwrap_or(number.len());
    (letters.to_lowercase(), number[..to].parse().unwrap_or_default(), label)
}
