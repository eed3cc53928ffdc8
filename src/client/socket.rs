//! The page's connection to `/ws`.
//!
//! A connection ends when it closes, when the server stays silent although it was asked for a heartbeat, or when another is
//! requested because the visitor or the network changed. The next one is opened at once if it was requested, otherwise with back-off.
//! Each begins with a snapshot, so that nothing has to be caught up on.

use crate::{
    client::clock::page_timer_ms,
    client::json::read_event,
    client::listen::listen,
    client::schedule::after,
    client::store::{ConnectionStatus, Store},
    domain::{Visitor, event::ServerEvent},
};
use gloo_timers::callback::Interval;
use leptos::{logging::warn, prelude::*, task::spawn_local};
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};
use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Event, MessageEvent, StorageEvent, WebSocket};

/// Keeps `store` connected for as long as the page lives. Only in the browser, after hydration.
pub fn start(store: Store) {
    for event in ["online", "offline"] {
        listen(event, |_| reconnect());
    }
    // Chrome reports a restored page only by `pageshow`.
    for event in ["visibilitychange", "pageshow"] {
        listen(event, |_| probe());
    }
    // Another tab of this browser signed in or out.
    listen("storage", |event| {
        if event.unchecked_into::<StorageEvent>().key().as_deref() == Some(VISITOR_CHANGED) {
            reconnect();
        }
    });
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

/// The server sends something every ten seconds. When nothing came for longer, it is asked for a sign of life.
const MAX_SILENCE_MS: f64 = 11_000.0;

/// How long the answer may take. A device that wakes up shows within two seconds whether it is connected.
const PROBE_TIMEOUT_MS: u32 = 1_500;

/// How long a connection may take to become live before the page says that it is not.
const CONNECT_SILENTLY_MS: f64 = 2_000.0;

/// How long a connection may take to become live.
const CONNECT_TIMEOUT_MS: f64 = 10_000.0;

/// How often these times are measured.
const WATCHDOG_INTERVAL_MS: u32 = 1_000;

/// The key in the browser's storage that is written on a sign-in or sign-out, which the other tabs receive as an event.
const VISITOR_CHANGED: &str = "sneakdrop.visitor-changed";

// Not in `Store`: the server makes one too and drops it on another thread, which a JavaScript function does not allow.
thread_local! {
    /// Resolves the promise that [`stay_connected`] is waiting for, if it is.
    static WAKE: RefCell<Option<js_sys::Function>> = const { RefCell::new(None) };

    /// Whether another connection was requested since the last attempt began.
    static IS_RECONNECT_REQUESTED: Cell<bool> = const { Cell::new(false) };

    /// The connection, once it is live.
    static LIVE: RefCell<Option<WebSocket>> = const { RefCell::new(None) };

    /// How many heartbeats were received.
    static HEARTBEATS: Cell<u32> = const { Cell::new(0) };
}

/// Replaces the connection without delay.
pub fn reconnect() {
    IS_RECONNECT_REQUESTED.set(true);
    wake();
}

/// Asks the server for a heartbeat. Without an answer the connection counts as lost: while the device slept, the network may
/// have gone without a word.
pub fn probe() {
    let Some(socket) = LIVE.with_borrow(Clone::clone) else { return };
    let heartbeats = HEARTBEATS.get();
    // A socket that cannot send gets no answer either.
    let _ = socket.send_with_str("heartbeat");
    let on_timeout = move || {
        if HEARTBEATS.get() == heartbeats && LIVE.with_borrow(|live| live.as_ref() == Some(&socket)) {
            wake();
        }
    };
    after(PROBE_TIMEOUT_MS, on_timeout).forget();
}

async fn stay_connected(store: Store) {
    let mut attempt = 0;
    loop {
        IS_RECONNECT_REQUESTED.set(false);
        connect(store).await;
        let was_live = LIVE.take().is_some();
        attempt = if was_live { 0 } else { attempt + 1 };
        let is_online = window().navigator().on_line();
        if IS_RECONNECT_REQUESTED.get() && is_online {
            // The connection was not lost, so its status stays as it is.
            continue;
        }
        store.set_connection(if is_online { ConnectionStatus::Reconnecting } else { ConnectionStatus::Offline });
        let delay_ms = backoff_ms(attempt, js_sys::Math::random());
        // Kept until something wakes this task, then dropped: a timeout still pending would end the next connection.
        let mut timeout = None;
        until_woken(|| timeout = Some(after(delay_ms, wake))).await;
    }
}

/// Opens a connection and applies its events until it ends.
async fn connect(store: Store) {
    // `http` becomes `ws`, and `https` becomes `wss`.
    let origin = window().location().origin().unwrap_or_default();
    let url = format!("ws{}/ws", origin.strip_prefix("http").unwrap_or(&origin));
    let Ok(socket) = WebSocket::new(&url) else { return };
    let begun_ms = page_timer_ms();
    let last_message_ms = Rc::new(Cell::new(begun_ms));
    let on_message = {
        let (last_message_ms, socket) = (last_message_ms.clone(), socket.clone());
        Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
            last_message_ms.set(page_timer_ms());
            // A newer server may send events that this page cannot read; the others still apply.
            match read_event(&event.data().as_string().unwrap_or_default()) {
                Ok(Some(event)) => {
                    match event {
                        ServerEvent::Snapshot(_) => LIVE.set(Some(socket.clone())),
                        ServerEvent::Heartbeat(_) => HEARTBEATS.set(HEARTBEATS.get() + 1),
                        _ => {}
                    }
                    store.receive(event);
                }
                Ok(None) => warn!("an event of unknown type: {:?}", event.data()),
                Err(error) => {
                    warn!("an event could not be read: {error}: {:?}", event.data());
                    // Events of this type are missing from here on.
                    store.set_connection(ConnectionStatus::Outdated);
                }
            }
        })
    };
    let on_close = Closure::<dyn FnMut(Event)>::new(|_| wake());
    socket.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
    // The browser does not report a peer that became unreachable.
    let watchdog = Interval::new(WATCHDOG_INTERVAL_MS, move || {
        let now_ms = page_timer_ms();
        if LIVE.with_borrow(Option::is_some) {
            if now_ms - last_message_ms.get() > MAX_SILENCE_MS {
                probe();
            }
        } else if now_ms - begun_ms > CONNECT_TIMEOUT_MS {
            wake();
        } else if now_ms - begun_ms > CONNECT_SILENTLY_MS {
            store.set_connection(ConnectionStatus::Reconnecting);
        }
    });
    until_woken(|| socket.set_onclose(Some(on_close.as_ref().unchecked_ref()))).await;
    drop(watchdog);
    socket.set_onmessage(None);
    socket.set_onclose(None);
    // Without a code, closing cannot fail.
    let _ = socket.close();
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
