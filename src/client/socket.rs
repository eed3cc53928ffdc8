//! The page's connection to `/ws`.
//!
//! A connection ends when it closes, when the server stays silent although it was asked for a heartbeat, or when another is
//! requested because the visitor or the network changed. The next one is opened at once if it was requested, otherwise with back-off.
//! Each begins with a snapshot, so that nothing has to be caught up on.
//!
//! Some proxies let no WebSocket through. While none is live, a page that somebody looks at asks for that snapshot every few seconds.

use crate::{
    client::clock::page_timer_ms,
    client::forms::get_changed,
    client::json::{read, read_event},
    client::listen::listen,
    client::schedule::after,
    client::store::{ConnectionStatus, Store},
    domain::{
        Timestamp, Visitor,
        event::{NOW_HEADER, SNAPSHOT_PATH, ServerEvent},
    },
};
use gloo_timers::callback::Interval;
use leptos::{logging::warn, prelude::*, task::spawn_local};
use std::cell::{Cell, RefCell};
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
        listen(event, move |_| probe(store));
    }
    // Another tab of this browser signed in or out.
    listen("storage", |event| {
        if event.unchecked_into::<StorageEvent>().key().as_deref() == Some(VISITOR_CHANGED) {
            reconnect();
        }
    });
    ASK_AT_MS.set(page_timer_ms() + ASK_AFTER_MS);
    Interval::new(WATCH_INTERVAL_MS, move || watch(store)).forget();
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

/// How long no connection may be live before the page asks.
const ASK_AFTER_MS: f64 = 3_000.0;

/// About how long after an answer it asks again.
const ASK_INTERVAL_MS: f64 = 2_500.0;

/// How often these times are measured.
const WATCH_INTERVAL_MS: u32 = 1_000;

/// The longest delay between two attempts to connect.
const MAX_BACKOFF_MS: f64 = 5_000.0;

/// The same while asking works.
const MAX_BACKOFF_ANSWERED_MS: f64 = 20_000.0;

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

    /// When the present attempt began, on the page's timer; infinite between two.
    static BEGUN_MS: Cell<f64> = const { Cell::new(f64::INFINITY) };

    /// When the latest message came.
    static LAST_MESSAGE_MS: Cell<f64> = const { Cell::new(0.0) };

    /// When the page asks next if no connection is live; infinite while it awaits an answer.
    static ASK_AT_MS: Cell<f64> = const { Cell::new(f64::INFINITY) };

    /// Whether the server answered when it was asked last.
    static IS_ANSWERED: Cell<bool> = const { Cell::new(false) };

    /// The tag of the latest answer, as long as the page shows what was in it.
    static ETAG: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Replaces the connection without delay.
pub fn reconnect() {
    IS_RECONNECT_REQUESTED.set(true);
    ETAG.take();
    ask_soon();
    wake();
}

/// Asks the server for a heartbeat. Without an answer the connection counts as lost: while the device slept, the network may
/// have gone without a word.
pub fn probe(store: Store) {
    let Some(socket) = LIVE.with_borrow(Clone::clone) else {
        if !document().hidden() && IS_ANSWERED.take() {
            ask_soon();
            watch(store);
        }
        return;
    };
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
        BEGUN_MS.set(f64::INFINITY);
        attempt += 1;
        if LIVE.take().is_some() {
            attempt = 0;
            ASK_AT_MS.set(page_timer_ms() + ASK_AFTER_MS);
        }
        if IS_RECONNECT_REQUESTED.get() && window().navigator().on_line() {
            // The connection was not lost, so its status stays as it is.
            continue;
        }
        show_lost(store);
        let longest_ms = if IS_ANSWERED.get() { MAX_BACKOFF_ANSWERED_MS } else { MAX_BACKOFF_MS };
        let delay_ms = backoff_ms(attempt, longest_ms, js_sys::Math::random());
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
    BEGUN_MS.set(page_timer_ms());
    let on_message = {
        let socket = socket.clone();
        Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
            LAST_MESSAGE_MS.set(page_timer_ms());
            if receive(store, &event.data().as_string().unwrap_or_default()) {
                LIVE.set(Some(socket.clone()));
                IS_ANSWERED.set(false);
                ETAG.take();
                store.set_connection(ConnectionStatus::Live);
            }
        })
    };
    let on_close = Closure::<dyn FnMut(Event)>::new(|_| wake());
    socket.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
    until_woken(|| socket.set_onclose(Some(on_close.as_ref().unchecked_ref()))).await;
    socket.set_onmessage(None);
    socket.set_onclose(None);
    // Without a code, closing cannot fail.
    let _ = socket.close();
}

/// Applies an event; returns whether it was a snapshot. A newer server may send events that this page cannot read; the others
/// still apply.
fn receive(store: Store, event: &str) -> bool {
    match read_event(event) {
        Ok(Some(event)) => {
            let is_snapshot = matches!(event, ServerEvent::Snapshot(_));
            if let ServerEvent::Heartbeat(_) = event {
                HEARTBEATS.set(HEARTBEATS.get() + 1);
            }
            store.receive(event);
            return is_snapshot;
        }
        Ok(None) => warn!("an event of unknown type: {event}"),
        Err(error) => {
            warn!("an event could not be read: {error}: {event}");
            // Events of this type are missing from here on.
            store.set_connection(ConnectionStatus::Outdated);
        }
    }
    false
}

/// Ends what takes too long, and asks when it is time to. The browser does not report a peer that became unreachable.
fn watch(store: Store) {
    let now_ms = page_timer_ms();
    if LIVE.with_borrow(Option::is_some) {
        if now_ms - LAST_MESSAGE_MS.get() > MAX_SILENCE_MS {
            probe(store);
        }
        return;
    }
    let connecting_ms = now_ms - BEGUN_MS.get();
    if connecting_ms > CONNECT_TIMEOUT_MS {
        wake();
    } else if connecting_ms > CONNECT_SILENTLY_MS {
        show_lost(store);
    }
    if now_ms > ASK_AT_MS.get() && !document().hidden() {
        ask(store);
    }
}

/// Asks for what a connection begins with, and applies it if it is another than before.
fn ask(store: Store) {
    ASK_AT_MS.set(f64::INFINITY);
    let held = move || (store.user_id(), store.reservations.get_untracked());
    let held_before = held();
    spawn_local(async move {
        let late = after(PROBE_TIMEOUT_MS, move || show_lost(store));
        let etag = ETAG.with_borrow(Clone::clone);
        let answer = get_changed(SNAPSHOT_PATH, &etag).await;
        drop(late);
        if LIVE.with_borrow(Option::is_some) {
            return;
        }
        // Without the server's time it is somebody else's answer.
        let answer = answer.ok().and_then(|(headers, events)| {
            let now: Timestamp = read(&headers.get(NOW_HEADER).ok()??).ok()?;
            Some((*now, headers.get("etag").ok()??, events))
        });
        IS_ANSWERED.set(answer.is_some());
        ASK_AT_MS.set(page_timer_ms() + ASK_INTERVAL_MS * (0.8 + 0.4 * js_sys::Math::random()));
        if let Some((now, etag, events)) = answer {
            store.clock.read(now);
            if held() == held_before {
                ETAG.set(etag);
                for event in events.lines() {
                    receive(store, event);
                }
            } else {
                // The server may have answered before the visitor's latest click.
                ask_soon();
            }
        }
        show_lost(store);
    });
}

fn ask_soon() {
    if ASK_AT_MS.get().is_finite() {
        ASK_AT_MS.set(0.0);
    }
}

/// Says how the page goes on while no connection is live.
fn show_lost(store: Store) {
    if LIVE.with_borrow(Option::is_none) {
        store.set_connection(if !window().navigator().on_line() {
            ConnectionStatus::Offline
        } else if IS_ANSWERED.get() {
            ConnectionStatus::Slower
        } else {
            ConnectionStatus::Reconnecting
        });
    }
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

/// The delay before an attempt: doubles up to the longest. `random`, from 0 to 1, takes off up to half, so that ten
/// thousand pages do not reconnect at the same time.
fn backoff_ms(attempt: u32, longest_ms: f64, random: f64) -> u32 {
    let delay_ms = f64::from(250 * 2_u32.pow(attempt.min(7))).min(longest_ms);
    (delay_ms * (0.5 + random / 2.0)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_randomised_and_at_most_the_longest() {
        for (attempt, random, delay, answered) in [
            (0, 0.0, 125, 125),
            (0, 1.0, 250, 250),
            (3, 1.0, 2_000, 2_000),
            (30, 0.0, 2_500, 10_000),
            (30, 1.0, 5_000, 20_000),
        ] {
            assert_eq!(backoff_ms(attempt, MAX_BACKOFF_MS, random), delay, "{attempt}");
            assert_eq!(backoff_ms(attempt, MAX_BACKOFF_ANSWERED_MS, random), answered, "{attempt}");
        }
    }
}
