//! The page's connection to `/ws`.
//!
//! A connection ends when it closes, when the server has been silent for too long, or when another is requested because
//! the visitor or the network changed. The next one is opened at once if it was requested, otherwise with back-off.
//! Each begins with a snapshot, so that nothing has to be caught up on.

use crate::{
    client::clock::page_timer_ms,
    client::json::read_event,
    client::store::{ConnectionStatus, Store},
    domain::Visitor,
};
use gloo_timers::callback::{Interval, Timeout};
use leptos::{ev, leptos_dom::helpers::WindowListenerHandle, logging::warn, prelude::*, task::spawn_local};
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};
use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Event, MessageEvent, WebSocket};

/// Keeps `store` connected for as long as the page lives. Only in the browser, after hydration.
pub fn start(store: Store) {
    let listeners = [
        window_event_listener(ev::online, |_| reconnect()),
        window_event_listener(ev::offline, |_| reconnect()),
        // Another tab of this browser signed in or out.
        window_event_listener(ev::storage, |event| {
            if event.key().as_deref() == Some(VISITOR_CHANGED) {
                reconnect();
            }
        }),
    ];
    on_cleanup(move || listeners.into_iter().for_each(WindowListenerHandle::remove));
    spawn_local(stay_connected(store));
}

/// Applies a sign-in or sign-out: a connection belongs to the visitor who opened it, so this tab and the browser's
/// other tabs open new ones.
pub fn change_visitor(store: Store, visitor: Option<Visitor>) {
    store.change_visitor(visitor);
    reconnect();
    if let Ok(Some(storage)) = window().local_storage() {
        // A failure is ignored: without storage the other tabs show the change after their next reconnect.
        let _ = storage.set_item(VISITOR_CHANGED, &((page_timer_ms() * 1000.0) as i64).to_string());
    }
}

/// The server sends something every ten seconds. After two missed messages and a margin the connection counts as dead.
const MAX_SILENCE_MS: f64 = 25_000.0;

/// How often the silence is measured.
const WATCHDOG_INTERVAL_MS: u32 = 5_000;

/// The key in the browser's storage that is written on a sign-in or sign-out, which the other tabs receive as an event.
const VISITOR_CHANGED: &str = "sneakdrop.visitor-changed";

// Not in `Store`: the server makes one too and drops it on another thread, which a JavaScript function does not allow.
thread_local! {
    /// Resolves the promise that [`stay_connected`] is waiting for, if it is.
    static WAKE: RefCell<Option<js_sys::Function>> = const { RefCell::new(None) };

    /// Whether another connection was requested since the last attempt began.
    static IS_RECONNECT_REQUESTED: Cell<bool> = const { Cell::new(false) };
}

/// Replaces the connection without delay.
fn reconnect() {
    IS_RECONNECT_REQUESTED.set(true);
    wake();
}

async fn stay_connected(store: Store) {
    let mut attempt = 0;
    loop {
        IS_RECONNECT_REQUESTED.set(false);
        let was_live = connect(store).await;
        attempt = if was_live { 0 } else { attempt + 1 };
        let is_online = window().navigator().on_line();
        if IS_RECONNECT_REQUESTED.get() && is_online {
            // The connection was not lost, so its status stays as it is.
            continue;
        }
        store.connection.set(if is_online { ConnectionStatus::Reconnecting } else { ConnectionStatus::Offline });
        let delay_ms = backoff_ms(attempt, js_sys::Math::random());
        // Kept until something wakes this task, then dropped: a timeout still pending would end the next connection.
        let mut timeout = None;
        until_woken(|| timeout = Some(Timeout::new(delay_ms, wake))).await;
    }
}

/// Opens a connection and applies its events until it ends. Returns whether it received a snapshot.
async fn connect(store: Store) -> bool {
    // `http` becomes `ws`, and `https` becomes `wss`.
    let origin = window().location().origin().unwrap_or_default();
    let url = format!("ws{}/ws", origin.trim_start_matches("http"));
    let Ok(socket) = WebSocket::new(&url) else { return false };
    let resyncs_before = store.resyncs.get_untracked();
    let last_message_ms = Rc::new(Cell::new(page_timer_ms()));
    let on_message = {
        let last_message_ms = last_message_ms.clone();
        Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
            last_message_ms.set(page_timer_ms());
            // A newer server may send events that this page cannot read; the others still apply.
            match read_event(&event.data().as_string().unwrap_or_default()) {
                Ok(Some(event)) => store.receive(event),
                Ok(None) => warn!("an event of unknown type: {:?}", event.data()),
                Err(error) => warn!("an event could not be read: {error}: {:?}", event.data()),
            }
        })
    };
    let on_close = Closure::<dyn FnMut(Event)>::new(|_| wake());
    socket.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
    // The browser does not report a peer that became unreachable; the missing heartbeat shows it.
    let watchdog = Interval::new(WATCHDOG_INTERVAL_MS, move || {
        if page_timer_ms() - last_message_ms.get() > MAX_SILENCE_MS {
            wake();
        }
    });
    until_woken(|| socket.set_onclose(Some(on_close.as_ref().unchecked_ref()))).await;
    drop(watchdog);
    socket.set_onmessage(None);
    socket.set_onclose(None);
    // Without a code, closing cannot fail.
    let _ = socket.close();
    store.resyncs.get_untracked() != resyncs_before
}

/// Ends the present connection, or the delay before the next one.
fn wake() {
    if let Some(resolve) = WAKE.take() {
        // A promise's resolve function does not throw.
        let _ = resolve.call0(&JsValue::NULL);
    }
}

/// Waits for [`wake`]. `arm` sets up the calls of it, and runs once the promise exists, so that none is missed.
async fn until_woken(arm: impl FnOnce()) {
    let woken = js_sys::Promise::new(&mut |resolve, _| WAKE.set(Some(resolve)));
    arm();
    // This promise is never rejected.
    let _ = JsFuture::from(woken).await;
}

/// The delay before an attempt: doubles up to five seconds. `random`, from 0 to 1, takes off up to half, so that ten
/// thousand pages do not reconnect at the same time.
fn backoff_ms(attempt: u32, random: f64) -> u32 {
    let longest = f64::from(250 * 2_u32.pow(attempt.min(5))).min(5_000.0);
    (longest * (0.5 + random / 2.0)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_randomised_and_at_most_five_seconds() {
        assert_eq!(backoff_ms(0, 0.0), 125);
        assert_eq!(backoff_ms(0, 1.0), 250);
        assert_eq!(backoff_ms(3, 1.0), 2_000);
        assert_eq!(backoff_ms(30, 1.0), 5_000);
    }
}
