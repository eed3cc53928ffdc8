//! Which drops the dashboard shows, as its address says.

use super::card_state::Section;
use crate::domain::SneakerDrop;
use leptos::prelude::*;

#[derive(Clone, Copy)]
pub struct Filter {
    /// `live` or `upcoming`.
    show: RwSignal<Option<String>>,
    /// Drops that have this size.
    size: RwSignal<Option<String>>,
}

impl Filter {
    pub fn new(show: Option<String>, size: Option<String>) -> Self {
        Self { show: RwSignal::new(show), size: RwSignal::new(size) }
    }

    /// Whether it leaves anything out.
    pub fn is_set(self) -> bool {
        self.show.with_untracked(Option::is_some) || self.size.with_untracked(Option::is_some)
    }

    pub fn admits(self, drop: &SneakerDrop, section: Section) -> bool {
        let is_shown = self.show.with_untracked(|show| match show.as_deref() {
            Some("live") => section == Section::Live,
            Some("upcoming") => section == Section::Upcoming,
            _ => true,
        });
        let has_size = |wanted: &String| drop.sizes.iter().any(|size| size.label == *wanted);
        is_shown && self.size.with_untracked(|wanted| wanted.as_ref().is_none_or(has_size))
    }
}
