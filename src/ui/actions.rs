//! The requests that a visitor makes about a drop, and how their outcomes are applied.
//!
//! Actions live as long as the page, not as long as a card. A drop that moves to another section of the dashboard gets
//! a new card, and a pending answer must still update the state and show its toast. What a person has chosen is kept here
//! for the same reason.

use crate::{
    client::clock::milliseconds_until,
    client::forms::{FormPost, fields, form_fields},
    client::listen::listen,
    client::schedule::{after, effect},
    client::socket,
    client::store::Store,
    domain::{ONE_SIZE, Purchase, Reservation, ReservationStatus, SneakerDrop, error::DropError},
    rpc, text,
    ui::engagement::{Engagement, card_of, closest, drop_at, focus_if_lost, hand_focus_to},
};
use leptos::{prelude::*, server_fn::ServerFn};
use serde::de::DeserializeOwned;
use std::cell::Cell;
use wasm_bindgen::JsCast;
use web_sys::{HtmlFormElement, HtmlInputElement, KeyboardEvent, Storage, SubmitEvent, UrlSearchParams};

/// The actions of all drops. Created once, with the page.
#[derive(Clone, Copy)]
pub struct Actions {
    pub engagement: Engagement,
    /// Those requested so far.
    by_drop: StoredValue<Vec<DropActions>>,
    pub sign_in: FormPost<rpc::SignIn>,
    /// Why the last attempt failed.
    pub sign_in_error: RwSignal<Option<String>>,
    pub sign_out: FormPost<rpc::SignOut>,
    owner: StoredValue<Owner>,
    store: Store,
}

thread_local! {
    /// Whether the press that goes on does nothing.
    static IS_PRESSED_IN_VAIN: Cell<bool> = const { Cell::new(false) };

    /// The drop of which a pair is wanted by whoever is about to sign in.
    static WANTED: Cell<Option<i64>> = const { Cell::new(None) };
}

/// The actions of one drop.
#[derive(Clone, Copy)]
pub struct DropActions {
    pub reserve: FormPost<rpc::Reserve>,
    pub purchase: FormPost<rpc::Purchase>,
    pub release: FormPost<rpc::Release>,
    /// The label of the chosen size.
    pub choice: RwSignal<Option<String>>,
    /// The label of a chosen size that went before it was reserved.
    pub gone: RwSignal<Option<String>>,
    /// Whether the held pair is given back in a moment, unless the visitor changes their mind.
    pub is_giving_back: RwSignal<bool>,
    /// Whether a press counts: not for a moment after something has appeared in the place of what was pressed, so that nobody
    /// buys by a double tap.
    pub armed: RwSignal<bool>,
    memory: StoredValue<Memory>,
    drop_id: i64,
    store: Store,
}

#[derive(Default)]
struct Memory {
    /// What the card offered last.
    offered: &'static str,
    /// Who sent the pending request, and for which reservation.
    sent_by: Option<i64>,
    sent_for: Option<Reservation>,
    /// How often a moment without presses has begun.
    armings: u32,
    /// The reservation that the visitor holds.
    held: Option<i64>,
    /// How often the visitor has given one back or kept it.
    decisions: u32,
}

impl Actions {
    /// The current owner, that of the page, becomes that of every drop's signals.
    pub fn new(store: Store) -> Self {
        let owner = Owner::current().expect("the page has an owner");
        Self {
            engagement: Engagement::new(store.toasts),
            by_drop: StoredValue::default(),
            sign_in: FormPost::default(),
            sign_in_error: RwSignal::new(None),
            sign_out: FormPost::default(),
            owner: StoredValue::new(owner),
            store,
        }
    }

    /// Returns the same actions on every call for a drop.
    pub fn of(self, drop_id: i64) -> DropActions {
        let find = |actions: &Vec<DropActions>| actions.iter().find(|actions| actions.drop_id == drop_id).copied();
        if let Some(actions) = self.by_drop.with_value(find) {
            return actions;
        }
        let new = self.owner.with_value(|owner| owner.with(|| DropActions::new(drop_id, self.store)));
        self.by_drop.update_value(|actions| actions.push(new));
        new
    }

    /// Posts forms in place and follows what is chosen. Until then, and without WebAssembly, the browser submits the forms. Only
    /// in the browser, after hydration.
    pub fn start(self) {
        self.engagement.start();
        for press in ["pointerdown", "keydown"] {
            listen(press, |event| {
                // A key that is kept down presses again and again.
                let is_repeated = event.dyn_ref::<KeyboardEvent>().is_some_and(KeyboardEvent::repeat);
                IS_PRESSED_IN_VAIN.set(is_repeated || closest(event.target(), "[aria-disabled]").is_some());
            });
        }
        listen("submit", move |event| self.submit(event.unchecked_ref()));
        listen("pagehide", move |_| self.give_back_now());
        listen("change", move |event| {
            let input = event.target().and_then(|target| target.dyn_into::<HtmlInputElement>().ok());
            if let Some((input, drop_id)) = input.zip(drop_at(event.target())) {
                self.of(drop_id).choose(Some(input.value()));
            }
        });
        listen("click", move |event| {
            if closest(event.target(), "[popovertarget]").is_some() {
                WANTED.set(drop_at(event.target()));
            }
            let dismissed =
                closest(event.target(), "[data-dismiss]").and_then(|button| button.get_attribute("data-dismiss"));
            if let Some(id) = dismissed.and_then(|id| id.parse().ok()) {
                self.store.toasts.dismiss(id);
            }
        });
    }

    fn submit(self, event: &SubmitEvent) {
        let Some(form) = event.target().and_then(|form| form.dyn_into::<HtmlFormElement>().ok()) else { return };
        // A button that is off does nothing, nor does one that was off when it was pressed.
        let is_off = event.submitter().is_some_and(|button| button.has_attribute("aria-disabled"));
        let is_on = !IS_PRESSED_IN_VAIN.take() && !is_off;
        let of_drop = |send: fn(DropActions)| drop_at(event.target()).into_iter().for_each(|id| send(self.of(id)));
        let path = form.get_attribute("action").unwrap_or_default();
        let send: &dyn Fn() = if path == self.sign_in.path() {
            &|| self.send_sign_in(&form)
        } else if path == self.sign_out.path() {
            &|| self.send_sign_out()
        } else if path == rpc::Reserve::PATH {
            &|| of_drop(DropActions::send_reserve)
        } else if path == rpc::Purchase::PATH {
            &|| of_drop(DropActions::send_purchase)
        } else if path == rpc::Release::PATH {
            &|| of_drop(DropActions::give_back)
        } else {
            return;
        };
        event.prevent_default();
        if is_on {
            send();
        }
    }

    fn send_sign_in(self, form: &HtmlFormElement) {
        let Some(fields) = form_fields(form) else { return };
        self.sign_in.send(fields, move |answer| {
            self.sign_in_error.set(answer.as_ref().err().map(ToString::to_string));
            if let Ok(visitor) = answer {
                socket::change_visitor(self.store, Some(visitor));
                if let Some(drop_id) = WANTED.take() {
                    hand_focus_to(drop_id);
                    self.of(drop_id).send_reserve_if_open();
                }
                focus_if_lost(VISITOR_BUTTON);
            }
        });
    }

    /// Once nothing is under way any more: what is about to be given back must still be given back by this user.
    fn send_sign_out(self) {
        self.by_drop.with_value(|all| {
            all.iter()
                .filter(|actions| actions.is_giving_back.get_untracked())
                .for_each(|actions| actions.send_release());
        });
        if self.is_busy() {
            after(IDLE_CHECK_MS, move || self.send_sign_out()).forget();
            return;
        }
        let user_id = self.store.user_id().map(|id| id.to_string());
        self.sign_out.send(fields([("user_id", user_id)]), move |answer| match answer {
            Ok(()) => {
                socket::change_visitor(self.store, None);
                focus_if_lost(VISITOR_BUTTON);
            }
            Err(error) => on_error(self.store, &error),
        });
    }

    /// Removes reservations that are expired by the page's clock, without waiting for the server. Subscribes to the
    /// clock. A reservation with a pending purchase is kept, because the server's answer decides about it.
    pub fn expire(self) {
        let now = self.store.clock.now();
        let is_expired = |reservation: &Reservation| {
            !reservation.is_held(now) && !self.of(reservation.drop_id).purchase.pending.get_untracked()
        };
        self.store.expire(is_expired);
    }

    /// Gives back at once what is about to be, because nobody will be there to do it.
    fn give_back_now(self) {
        self.by_drop.with_value(|actions| actions.iter().for_each(|actions| actions.give_back_now()));
    }

    /// Whether any request is pending.
    pub fn is_busy(self) -> bool {
        self.by_drop.with_value(|actions| actions.iter().any(|actions| untrack(|| actions.is_busy())))
    }
}

impl DropActions {
    fn new(drop_id: i64, store: Store) -> Self {
        let actions = Self {
            reserve: FormPost::default(),
            purchase: FormPost::default(),
            release: FormPost::default(),
            choice: RwSignal::new(untrack(|| usual_size(store, drop_id))),
            gone: RwSignal::new(None),
            is_giving_back: RwSignal::new(false),
            armed: RwSignal::new(true),
            memory: StoredValue::default(),
            drop_id,
            store,
        };
        // Again when the visitor has reserved a size of another drop.
        effect(move || {
            let usual = store.size.with(Option::is_some).then(|| untrack(|| usual_size(store, drop_id))).flatten();
            let kept = storage().and_then(|storage| storage.get_item(&actions.storage_key()).ok().flatten());
            actions.choice.maybe_update(|choice| {
                let before = choice.clone();
                *choice = kept.or_else(|| choice.take()).or(usual);
                *choice != before
            });
        });
        effect(move || actions.end_choice());
        effect(move || actions.settle());
        actions
    }

    /// Whether a request is pending; subscribes to it.
    pub fn is_busy(self) -> bool {
        [self.reserve.pending, self.purchase.pending, self.release.pending].iter().any(|pending| pending.get())
    }

    pub fn choose(self, label: Option<String>) {
        if let Some(storage) = storage() {
            // Without storage the choice lives as long as the document.
            let _ = match &label {
                Some(label) => storage.set_item(&self.storage_key(), label),
                None => storage.remove_item(&self.storage_key()),
            };
        }
        self.choice.set(label);
        self.gone.set(None);
        self.store.toasts.withdraw(text::CHOOSE_A_SIZE);
    }

    /// Disarms what has appeared in the place of something that was pressed. `state` is what the card offers now.
    pub fn arm(self, state: &'static str) {
        let before = self.memory.with_value(|memory| memory.offered);
        self.memory.update_value(|memory| memory.offered = state);
        if matches!(before, "open" | "held" | "bought") && before != state {
            self.disarm();
        }
    }

    /// Lets presses count only after a moment.
    pub fn disarm(self) {
        self.memory.update_value(|memory| memory.armings += 1);
        let armings = move || self.memory.with_value(|memory| memory.armings);
        let now = armings();
        self.armed.set(false);
        let arm = move || {
            if armings() == now {
                self.armed.set(true);
            }
        };
        after(ARMING_MS, arm).forget();
    }

    fn send_reserve(self) {
        let store = self.store;
        self.send(self.reserve, None, self.choice.get_untracked(), move |reservation| {
            self.on_reserved(&reservation);
            store.apply(reservation, None);
        });
    }

    /// Reserves for somebody who signed in to do so.
    fn send_reserve_if_open(self) {
        let now = self.store.clock.now_untracked();
        let is_idle =
            self.store.reservation(self.drop_id).is_none() && self.store.purchases_of(self.drop_id).is_empty();
        let Some(drop) = self.store.get(self.drop_id).filter(|_| is_idle) else { return };
        if drop.with_untracked(|drop| drop.is_on_sale(now)) {
            match self.choice.with_untracked(Option::is_none) && drop.with_untracked(SneakerDrop::has_size_choice) {
                true => self.store.toasts.notice(text::CHOOSE_A_SIZE.into()),
                false => self.send_reserve(),
            }
        }
    }

    fn send_purchase(self) {
        let store = self.store;
        let Some(reservation) = store.reservation(self.drop_id) else { return };
        self.send(self.purchase, Some(reservation), None, move |purchase| {
            self.on_purchased(&purchase);
            store.add_purchase(purchase);
        });
    }

    /// Gives the held pair back in a moment, or keeps it after all.
    fn give_back(self) {
        self.memory.update_value(|memory| memory.decisions += 1);
        self.disarm();
        let is_begun = !self.is_giving_back.get_untracked();
        self.is_giving_back.set(is_begun);
        let decisions = move || self.memory.with_value(|memory| memory.decisions);
        let decided = decisions();
        let give_back = move || {
            // The pair is still held, and the visitor has not changed their mind.
            if self.is_giving_back.get_untracked() && decisions() == decided {
                self.send_release();
            }
        };
        if is_begun {
            after(CHANGE_OF_MIND_MS, give_back).forget();
        }
    }

    fn give_back_now(self) {
        if !self.is_giving_back.get_untracked() {
            return;
        }
        self.is_giving_back.set(false);
        // The browser sends it even when the page is gone. It refuses only more than 64 KiB.
        let fields = self.fields(untrack(|| self.store.reservation(self.drop_id)).as_ref(), None);
        let _ = window().navigator().send_beacon_with_opt_url_search_params(rpc::Release::PATH, Some(&fields));
    }

    fn send_release(self) {
        let store = self.store;
        self.is_giving_back.set(false);
        let Some(reservation) = store.reservation(self.drop_id) else { return };
        self.send(self.release, Some(reservation), None, move |reservation| {
            if reservation.status == ReservationStatus::Cancelled {
                self.say(text::RELEASED.into());
            }
            store.apply(reservation, None);
        });
    }

    fn send<F>(
        self,
        action: FormPost<F>,
        reservation: Option<Reservation>,
        size: Option<String>,
        on_success: impl FnOnce(F::Output) + 'static,
    ) where
        F: ServerFn<Output: DeserializeOwned, Error = DropError> + 'static,
    {
        let user_id = self.store.user_id();
        let fields = self.fields(reservation.as_ref(), size);
        self.memory.update_value(|memory| (memory.sent_by, memory.sent_for) = (user_id, reservation));
        action.send(fields, move |answer| match answer {
            // Whoever has signed out, or in as somebody else, does not hear of it.
            _ if self.store.user_id() != user_id => {}
            Ok(answer) => on_success(answer),
            Err(error) => {
                if error == DropError::ReservationExpired {
                    self.store.expire(|reservation| reservation.drop_id == self.drop_id);
                }
                on_error(self.store, &error);
            }
        });
    }

    fn fields(self, reservation: Option<&Reservation>, size: Option<String>) -> UrlSearchParams {
        fields([
            ("user_id", self.store.user_id().map(|id| id.to_string())),
            ("drop_id", Some(self.drop_id.to_string())),
            ("reservation_id", reservation.map(|reservation| reservation.id.to_string())),
            ("size", size),
        ])
    }

    fn on_reserved(self, reservation: &Reservation) {
        if reservation.size != ONE_SIZE {
            self.store.size.set(Some(reservation.size.clone()));
        }
        let left_ms = milliseconds_until(*reservation.expires_at, self.store.clock.now_untracked());
        self.store.toasts.success(text::reservation_granted(reservation, left_ms));
    }

    fn on_purchased(self, purchase: &Purchase) {
        self.choose(None);
        self.say(text::purchase_completed(purchase));
    }

    /// Says what the card shows; so that it is seen where there is no card as well.
    fn say(self, text: String) {
        match card_of(self.drop_id) {
            Some(_) => self.store.toasts.success(text),
            None => self.store.toasts.notice(text),
        }
    }

    /// Ends requests whose outcome the socket has brought, perhaps before the answer and perhaps instead of it.
    fn settle(self) {
        let Self { reserve, purchase, release, store, .. } = self;
        let (held, purchases) = (store.reservation(self.drop_id), store.purchases_of(self.drop_id));
        // Bought, given back or over otherwise, perhaps somebody else's by now.
        let id = held.as_ref().map(|held| held.id);
        if self.memory.with_value(|memory| memory.held != id) {
            self.memory.update_value(|memory| memory.held = id);
            self.is_giving_back.maybe_update(std::mem::take);
        }
        let user_id = store.user.with(|user| user.as_ref().map(|user| user.id));
        let (sent_by, shown) = self.memory.with_value(|memory| (memory.sent_by, memory.sent_for.clone()));
        if sent_by != user_id {
            reserve.settle();
            purchase.settle();
            release.settle();
            return;
        }
        let now = store.clock.now_untracked();
        if let Some(held) = held.as_ref().filter(|held| reserve.pending.get_untracked() && held.is_held(now)) {
            reserve.settle();
            self.on_reserved(held);
        }
        let Some(shown) = shown.filter(|shown| held.is_none_or(|held| held.id != shown.id)) else { return };
        let bought = purchases.iter().find(|purchase| purchase.reservation_id == shown.id);
        if purchase.pending.get_untracked() {
            purchase.settle();
            bought.into_iter().for_each(|bought| self.on_purchased(bought));
        }
        if release.pending.get_untracked() {
            release.settle();
            if bought.is_none() && shown.is_held(now) {
                self.say(text::RELEASED.into());
            }
        }
    }

    /// A chosen size that others took is chosen no more, unless every other one went as well: then nothing is left to choose,
    /// and the first that comes back may be it.
    fn end_choice(self) {
        let is_own = self.reserve.pending.get() || self.store.reservation(self.drop_id).is_some();
        let (Some(label), Some(drop)) = (self.choice.get(), self.store.get(self.drop_id)) else { return };
        let is_gone = drop.with(|drop| {
            let is_left = drop.sizes.iter().any(|size| size.label == label && size.available_stock > 0);
            !is_left && drop.available_stock > 0
        });
        if is_gone && !is_own {
            self.choose(None);
            self.gone.set(Some(label));
        }
    }

    fn storage_key(self) -> String {
        format!("sneakdrop.size.drop-{}", self.drop_id)
    }
}

/// The visitor's size, if the drop has it left.
fn usual_size(store: Store, drop_id: i64) -> Option<String> {
    let size = store.size.get()?;
    let is_left = |drop: &SneakerDrop| drop.sizes.iter().any(|known| known.label == size && known.available_stock > 0);
    store.get(drop_id).is_some_and(|drop| drop.with(is_left)).then_some(size)
}

/// The header's button that signs in or out.
const VISITOR_BUTTON: &str = ".visitor button";

fn on_error(store: Store, error: &DropError) {
    match error {
        DropError::Unauthorized => socket::change_visitor(store, None),
        // The connection brings who it is.
        DropError::AnotherUser => socket::reconnect(),
        _ => {}
    }
    store.toasts.error(error.to_string());
}

/// Keeps what a person has chosen when the document is loaded anew; `None` if the browser has none.
pub fn storage() -> Option<Storage> {
    window().session_storage().ok().flatten()
}

/// How long something that appeared under a finger is not pressed by the next tap: longer than a double click may take.
const ARMING_MS: u32 = 700;

/// After this time it is asked again whether anything is under way.
const IDLE_CHECK_MS: u32 = 100;

/// How long a visitor who gives a pair back can keep it after all.
const CHANGE_OF_MIND_MS: u32 = 5_000;

/// Becomes true a moment later, or is from the beginning. On the server it is.
pub fn armed(at_once: bool) -> RwSignal<bool> {
    let armed = RwSignal::new(at_once);
    if !at_once {
        // Its component may be gone by then.
        after(ARMING_MS, move || {
            let _ = armed.try_set(true);
        })
        .forget();
    }
    armed
}
