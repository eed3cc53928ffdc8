//! A drop's card: picture, stock, recent purchasers, and the one action that its state offers.

use super::{
    buttons::{about_drop, acting_as, submit_button},
    held::held,
    icons::Check,
    live::{attribute, flag, live},
    purchasers::Purchasers,
    sign_in::SignInButton,
    size_choice::SizeChoice,
    stock_meter::StockMeter,
    when::When,
};
use crate::{
    client::clock::milliseconds_until,
    client::schedule::{after, effect, next_frame},
    client::store::Store,
    domain::{Purchase, SneakerDrop},
    text,
    ui::actions::{Actions, DropActions},
    ui::card_state::CardState,
    ui::engagement::{card_of, focus, is_focus_lost, was_focused},
    ui::router::Page,
};
use leptos::{
    either::{Either, EitherOf4},
    prelude::*,
};
use std::cell::Cell;

/// A card on the dashboard or, with `is_page`, on the drop's own page.
#[component]
pub fn DropCard(
    drop: ArcRwSignal<SneakerDrop>,
    /// Makes the drop's name the page's main heading instead of a link.
    #[prop(optional)]
    is_page: bool,
    /// Whether it is what people see first.
    #[prop(optional)]
    is_first: bool,
) -> impl IntoView {
    let store = expect_context::<Store>();
    let drop = RwSignal::from(drop);
    let id = drop.with_untracked(|drop| drop.id);
    let name = Memo::new(move |_| drop.with(|drop| drop.name.clone()));
    let image_url = Memo::new(move |_| drop.with(|drop| drop.image_url.clone()));
    let longest = longest_word(&name.get_untracked());
    let actions = expect_context::<Actions>().of(id);
    let state = Memo::new(move |_| {
        let (reservation, purchases) = (store.reservation(id), store.purchases_of(id));
        let is_signed_in = store.user.with(Option::is_some);
        let now = match &reservation {
            // Keeps the held state while a purchase is pending, even if the time runs out: the server decides.
            Some(reservation) if actions.purchase.pending.get() => *reservation.created_at,
            _ => store.clock.now(),
        };
        drop.with(|drop| CardState::at(now, drop, is_signed_in, reservation.as_ref(), &purchases))
    });
    let price_cents = Memo::new(move |_| match state.get() {
        CardState::Held(reservation) => reservation.price_cents,
        _ => drop.with(|drop| drop.price_cents),
    });
    let card = Card { id, drop, state, actions };
    card.keep_focus();

    let name_id = format!("drop-{id}");
    let heading = if is_page {
        Either::Left(view! { <h1 id=name_id.clone() tabindex="-1" dir="auto" data-longest=longest>
            {live(Box::new(move || name.get()))}
        </h1> })
    } else {
        Either::Right(view! {
            <h3 id=name_id.clone() dir="auto" data-longest=longest>
                <a href=Page::Drop(id).to_string()>{live(Box::new(move || name.get()))}</a>
            </h3>
        })
    };
    let (loading, priority) = if is_first || is_page { ("eager", "high") } else { ("lazy", "auto") };
    view! {
        <article
            class="card"
            class:page=is_page
            aria-labelledby=name_id
            data-drop=id
            tabindex="-1"
            data-state=attribute(move || Some(state.with(state_name).into()))
            data-again=flag(move || state.with(|state| matches!(state, CardState::Bought { may_reserve: true, .. })))
            data-pulse=flag(card.pulse())
        >
            <div class="art" data-tint=id % 8 aria-hidden="true">
                <span class="initials">{live(Box::new(move || text::initials(&name.get())))}</span>
                {move || {
                    image_url
                        .get()
                        .map(|url| {
                            view! {
                                <img
                                    src=url
                                    alt=""
                                    width="800"
                                    height="500"
                                    decoding="async"
                                    loading=loading
                                    fetchpriority=priority
                                />
                            }
                        })
                }}
                // The name leads to the same place, so that keyboards and screen readers need not meet this.
                {(!is_page).then(|| view! { <a href=Page::Drop(id).to_string() tabindex="-1"></a> })}
            </div>
            <div class="title">
                {heading} <p class="price">{live(Box::new(move || text::price(price_cents.get())))}</p>
            </div>
            <div class="facts">
                <StockMeter drop state />
                <When id name drop state />
            </div>
            <div class="action">{card.action(name)}</div>
            <Purchasers drop />
        </article>
    }
}

/// More than three flashes a second are a danger to some people (WCAG 2.3.1).
const PULSE_MS: u32 = 1_000;

thread_local! {
    /// Whether any card pulses.
    static IS_PULSING: Cell<bool> = const { Cell::new(false) };
}

/// Whether a name's longest word needs smaller letters, and how much: words break only when that does not help.
fn longest_word(name: &str) -> Option<&'static str> {
    match name.split(' ').map(|word| word.chars().count()).max().unwrap_or_default() {
        0..=11 => None,
        12..=16 => Some("long"),
        17..=22 => Some("longer"),
        _ => Some("longest"),
    }
}

/// The names that the style sheet uses.
fn state_name(state: &CardState) -> &'static str {
    match state {
        CardState::Upcoming => "upcoming",
        CardState::SignedOut => "signed-out",
        CardState::Open => "open",
        CardState::Held(_) => "held",
        CardState::Bought { .. } => "bought",
        CardState::Paused => "paused",
        CardState::AllReserved => "all-reserved",
        CardState::SoldOut => "sold-out",
        CardState::Ended => "ended",
    }
}

/// What the parts of a card share.
#[derive(Clone, Copy)]
struct Card {
    id: i64,
    drop: RwSignal<SneakerDrop>,
    state: Memo<CardState>,
    actions: DropActions,
}

impl Card {
    /// Moves focus to the card's next action when the focused element is removed or disabled, which would leave focus on the
    /// body. If the drop has moved to another section, its new card does it.
    fn keep_focus(self) {
        effect(move || {
            self.actions.arm(match self.state.with(state_name) {
                "all-reserved" => "open",
                state => state,
            });
            self.drop.track();
            if !was_focused(self.id) {
                return;
            }
            next_frame(move || {
                if let Some(card) = card_of(self.id).filter(|_| is_focus_lost()) {
                    // A size must be chosen first, if none is.
                    let next = match untrack(|| self.state.with(state_name)) {
                        "held" | "bought" => ".own .primary, .own a",
                        _ => ".offer input:invalid, .offer button",
                    };
                    focus(Some(card.query_selector(next).ok().flatten().unwrap_or(card)));
                }
            });
        });
    }

    /// Set for a moment when the stock changes and this visitor did not cause it. One card at a time: in a rush the page as a
    /// whole does not flash more often than [`PULSE_MS`].
    fn pulse(self) -> impl Fn() -> bool {
        let drop = self.drop;
        let version = Memo::new(move |_| drop.with(|drop| drop.version));
        let is_pulsing = RwSignal::new(false);
        let is_own_change = move || untrack(|| self.actions.is_busy());
        let mut known = version.get_untracked();
        effect(move || {
            let version = version.get();
            if std::mem::replace(&mut known, version) != version && !is_own_change() && !IS_PULSING.replace(true) {
                is_pulsing.set(true);
                let end = move || {
                    IS_PULSING.set(false);
                    // The card may be gone by then.
                    let _ = is_pulsing.try_set(false);
                };
                after(PULSE_MS, end).forget();
            }
        });
        move || is_pulsing.get()
    }

    /// The offer, which keeps its room while what the visitor has of the drop stands in its place: nothing moves, and choice and
    /// focus stay, when the drop opens and pairs go and come back.
    fn action(self, name: Memo<String>) -> impl IntoView {
        let own = Memo::new(move |_| match self.state.get() {
            state @ (CardState::Held(_) | CardState::Bought { .. }) => state,
            _ => CardState::Open,
        });
        let own = move || match own.get() {
            CardState::Held(reservation) => Some(Either::Left(held(reservation, name))),
            CardState::Bought { purchase, .. } => Some(Either::Right(self.bought(purchase))),
            _ => None,
        };
        view! {
            {self.offer(name)}
            <div class="own">{own}</div>
        }
    }

    /// The choice of a size, and under it what can be done with it.
    fn offer(self, name: Memo<String>) -> impl IntoView {
        let (actions, store) = (self.actions, expect_context::<Store>());
        let all_reserved = Memo::new(move |_| {
            let is_all_reserved = self.state.with(|state| *state == CardState::AllReserved);
            is_all_reserved.then(|| text::all_reserved(self.drop.with(|drop| drop.held_stock)))
        });
        // The button stays the same when the last pair goes and comes back.
        let offered = Memo::new(move |_| {
            self.state.with(|state| match state {
                CardState::AllReserved | CardState::Held(_) => "open",
                CardState::Bought { may_reserve: false, .. } => "nothing",
                state => state_name(state),
            })
        });
        let button = move || {
            let offered = offered.get();
            match offered {
                "open" => EitherOf4::A(self.reserve_button("primary", text::RESERVE, name)),
                "bought" => EitherOf4::A(self.reserve_button("secondary", text::RESERVE_ANOTHER, name)),
                "signed-out" => EitherOf4::B(view! {
                    <SignInButton class="primary" label=text::SIGN_IN_TO_RESERVE about=about_drop(&name.get()) />
                }),
                "upcoming" => EitherOf4::C(view! { <OpensIn drop=self.drop /> }),
                offered => {
                    let status = match offered {
                        "ended" => text::ENDED,
                        "paused" => text::PAUSED,
                        "sold-out" => text::SOLD_OUT,
                        _ => "",
                    };
                    EitherOf4::D(view! { <p class="status">{status}</p> })
                }
            }
        };
        view! {
            <form class="offer" method="post" action=actions.reserve.path()>
                {acting_as(store)}
                <input type="hidden" name="drop_id" value=self.id />
                <SizeChoice drop=self.drop actions all_reserved />
                {button}
            </form>
        }
    }

    fn reserve_button(self, class: &'static str, label: &'static str, name: Memo<String>) -> impl IntoView {
        let pending = self.actions.reserve.pending;
        let is_off = Box::new(move || pending.get() || self.state.with(|state| *state == CardState::AllReserved));
        let label = Box::new(move || if pending.get() { text::RESERVING } else { label }.into());
        submit_button(class, label, Some(name), is_off, self.actions.armed)
    }

    fn bought(self, purchase: Purchase) -> impl IntoView {
        let size = self.drop.with_untracked(SneakerDrop::has_size_choice).then(|| purchase.size.clone());
        view! {
            <p class="status yours">
                <Check />
                <span>{text::purchased(&purchase)}</span>
                {size.map(|size| view! { <strong dir="auto">{size}</strong> })}
            </p>
            <a href=Page::Order(purchase.id).to_string() class="secondary">
                {text::VIEW_PURCHASE}
            </a>
        }
    }
}

/// The time until the drop starts.
#[component]
fn OpensIn(drop: RwSignal<SneakerDrop>) -> impl IntoView {
    let store = expect_context::<Store>();
    let starts_at = move || drop.with(|drop| *drop.starts_at);
    view! {
        <p class="status opens" role="timer">
            {live(Box::new(move || text::opens_in(milliseconds_until(starts_at(), store.clock.now()))))}
        </p>
    }
}
