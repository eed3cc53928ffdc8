//! What runs later, compiled once: Leptos and gloo compile it anew for each closure.

use gloo_timers::callback::Timeout;
use leptos::prelude::*;
use std::cell::RefCell;

thread_local! {
    /// The effects that wait, each with its owner; `None` if none has to.
    static WAITING: RefCell<Option<Vec<(Owner, Run)>>> = const { RefCell::new(None) };
}

type Run = Box<dyn FnMut()>;

/// Runs `run` after each rendering that changed what it reads, only in the browser.
pub fn effect(run: impl FnMut() + 'static) {
    fn boxed(run: Run) {
        WAITING.with_borrow_mut(|waiting| match (waiting, Owner::current()) {
            (Some(waiting), Some(owner)) => waiting.push((owner, run)),
            _ => drop(Effect::new(run)),
        });
    }
    boxed(Box::new(run));
}

/// From here on effects wait for [`run_effects`]: while a part of the page is not hydrated yet, nothing may differ from what the
/// server rendered.
#[cfg(feature = "hydrate")]
pub(crate) fn hold_effects() {
    WAITING.set(Some(vec![]));
}

/// Runs those that waited.
#[cfg(feature = "hydrate")]
pub(crate) fn run_effects() {
    for (owner, run) in WAITING.take().into_iter().flatten() {
        owner.with(|| Effect::new(run));
    }
}

/// Runs `run` before the next frame is painted, when the document shows what has changed.
pub fn next_frame(run: impl FnOnce() + 'static) {
    fn boxed(run: Box<dyn FnOnce()>) {
        request_animation_frame(run);
    }
    boxed(Box::new(run));
}

/// Runs `run` once, unless the returned value is dropped before.
pub fn after(milliseconds: u32, run: impl FnOnce() + 'static) -> Timeout {
    fn boxed(milliseconds: u32, run: Box<dyn FnOnce()>) -> Timeout {
        Timeout::new(milliseconds, run)
    }
    boxed(milliseconds, Box::new(run))
}
