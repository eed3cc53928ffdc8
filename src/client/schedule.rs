//! What runs later, compiled once: Leptos and gloo compile it anew for each closure.

use gloo_timers::callback::Timeout;
use leptos::prelude::*;

/// Runs `run` after each rendering that changed what it reads, only in the browser.
pub fn effect(run: impl FnMut() + 'static) {
    fn boxed(run: Box<dyn FnMut()>) {
        Effect::new(run);
    }
    boxed(Box::new(run));
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
