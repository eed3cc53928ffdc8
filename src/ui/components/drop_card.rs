//! A drop's card: picture, stock, recent purchasers, and the one action that its state offers.

use super::{
    buttons::{acting_as, submit_button},
    countdown::Countdown,
    icons::Check,
    live::live,
    purchasers::Purchasers,
    sign_in::SignInButton,
    size_choice::SizeChoice,
    stock_meter::StockMeter,
};
use crate::{
    client::clock::milliseconds_until,
    client::schedule::{effect, next_frame},
    client::store::Store,
    domain::{Purchase, Reservation, SneakerDrop},
    text,
    ui::actions::{Actions, DropActions},
    ui::card_state::CardState,
    ui::engagement::{focus, is_focus_lost, was_focused},
    ui::router::Page,
};
use leptos::{
    either::{Either, EitherOf4},
    prelude::*,
};

/// A card on the dashboard or, with `is_page`, on the drop's own page.
#[component]
pub fn DropCard(
    drop: ArcRwSignal<SneakerDrop>,
    /// Makes the drop's name the page's main heading instead of a link.
    #[prop(optional)]
    is_page: bool,
) -> impl IntoView {
    let store = expect_context::<Store>();
    let drop = RwSignal::from(drop);
    let id = drop.with_untracked(|drop| drop.id);
    let name = Memo::new(move |_| drop.with(|drop| drop.name.clone()));
    let image_url = Memo::new(move |_| drop.with(|drop| drop.image_url.clone()));
    let limit_per_user = Memo::new(move |_| drop.with(|drop| drop.limit_per_user));
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
        Either::Left(view! { <h1 id=name_id.clone() tabindex="-1">
            {live(Box::new(move || name.get()))}
        </h1> })
    } else {
        Either::Right(view! {
            <h3 id=name_id.clone()>
                <a href=Page::Drop(id).to_string()>{live(Box::new(move || name.get()))}</a>
            </h3>
        })
    };
    view! {
        <article
            class="card"
            class:page=is_page
            aria-labelledby=name_id
            tabindex="-1"
            data-state=move || state.with(state_name)
            data-pulse=card.pulse()
        >
            <div class="art">
                {move || {
                    image_url
                        .get()
                        .map(|url| {
                            view! { <img src=url alt="" width="800" height="500" decoding="async" /> }
                        })
                }}
            </div>
            <div class="label">
                <div class="title">
                    {heading}
                    <p class="price">{live(Box::new(move || text::price(price_cents.get())))}</p>
                </div>
                <StockMeter drop />
                <p class="facts">{move || limit_per_user.get().map(text::limit)}</p>
                <Purchasers drop />
                <div class="action">{card.action()}</div>
            </div>
        </article>
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
            self.state.track();
            self.drop.track();
            if !was_focused(self.id) {
                return;
            }
            next_frame(move || {
                let card = document().query_selector(&format!("[aria-labelledby=drop-{}]", self.id)).ok().flatten();
                if let Some(card) = card.filter(|_| is_focus_lost()) {
                    // A size must be chosen first, if none is.
                    let next = ".action input:invalid, .action button:not(:disabled), .action a";
                    focus(Some(card.query_selector(next).ok().flatten().unwrap_or(card)));
                }
            });
        });
    }

    /// Counts the changes of stock that this visitor did not cause: `None`, then `odd` and `even` in turn, because only
    /// a changed attribute restarts the style sheet's animation.
    fn pulse(self) -> impl Fn() -> Option<&'static str> + Clone {
        let drop = self.drop;
        let version = Memo::new(move |_| drop.with(|drop| drop.version));
        let pulses = RwSignal::new(0_u32);
        let is_own_change = move || untrack(|| self.actions.is_busy());
        let mut known = version.get_untracked();
        effect(move || {
            let version = version.get();
            if std::mem::replace(&mut known, version) != version && !is_own_change() {
                pulses.update(|pulses| *pulses += 1);
            }
        });
        move || match pulses.get() {
            0 => None,
            odd if odd % 2 == 1 => Some("odd"),
            _ => Some("even"),
        }
    }

    fn action(self) -> impl IntoView {
        // Only what makes another form renders it anew: nothing moves, and choice and focus stay, when the drop opens and pairs
        // go and come back.
        let shown = Memo::new(move |_| match self.state.get() {
            state @ (CardState::Held(_) | CardState::Bought { .. }) => state,
            _ => CardState::Open,
        });
        move || match shown.get() {
            CardState::Held(reservation) => Either::Left(self.held(reservation)),
            CardState::Bought { purchase, may_reserve } => {
                if !may_reserve {
                    self.actions.arm("bought");
                }
                Either::Right((Some(self.bought(purchase)), may_reserve.then(|| self.offer())))
            }
            _ => Either::Right((None, Some(self.offer()))),
        }
    }

    /// The choice of a size, and under it what can be done with it.
    fn offer(self) -> impl IntoView {
        let (actions, store) = (self.actions, expect_context::<Store>());
        let all_reserved = Memo::new(move |_| {
            let is_all_reserved = self.state.with(|state| *state == CardState::AllReserved);
            is_all_reserved.then(|| text::all_reserved(self.drop.with(|drop| drop.held_stock)))
        });
        // The button stays the same when the last pair goes and comes back.
        let offered = Memo::new(move |_| {
            self.state.with(|state| match state {
                CardState::AllReserved => "open",
                state => state_name(state),
            })
        });
        let button = move || {
            let offered = offered.get();
            let armed = actions.arm(offered);
            match offered {
                "open" => EitherOf4::A(self.reserve_button("primary", text::RESERVE, armed)),
                "bought" => EitherOf4::A(self.reserve_button("quiet", text::RESERVE_ANOTHER, armed)),
                "signed-out" => EitherOf4::B(view! { <SignInButton class="primary" label=text::SIGN_IN_TO_RESERVE /> }),
                "upcoming" => EitherOf4::C(view! { <OpensIn drop=self.drop /> }),
                "ended" => EitherOf4::D(view! { <p class="status">{text::ENDED}</p> }),
                _ => EitherOf4::D(view! { <p class="status">{text::SOLD_OUT}</p> }),
            }
        };
        view! {
            <form method="post" action=actions.reserve.path()>
                {acting_as(store)}
                <input type="hidden" name="drop_id" value=self.id />
                <SizeChoice drop=self.drop actions all_reserved />
                {button}
            </form>
        }
    }

    fn reserve_button(self, class: &'static str, label: &'static str, armed: RwSignal<bool>) -> impl IntoView {
        let pending = self.actions.reserve.pending;
        let is_off = Box::new(move || pending.get() || self.state.with(|state| *state == CardState::AllReserved));
        let label = Box::new(move || if pending.get() { text::RESERVING } else { label });
        submit_button(class, label, is_off, armed)
    }

    fn held(self, reservation: Reservation) -> impl IntoView {
        let actions = self.actions;
        let armed = actions.arm("held");
        let size = self.drop.with_untracked(SneakerDrop::has_size_choice).then(|| reservation.size.clone());
        let id = reservation.id;
        let store = expect_context::<Store>();
        let is_off = move || actions.purchase.pending.get() || actions.release.pending.get();
        let purchase_label = Box::new(move || match actions.purchase.pending.get() {
            true => text::COMPLETING,
            false => text::COMPLETE_PURCHASE,
        });
        view! {
            <div class="held-pair">
                <Countdown reservation />
                <p class="pair">
                    {size.map(|size| view! { <strong>{size}</strong> })}
                    <span>{text::RESERVED_FOR_YOU}</span>
                </p>
            </div>
            <form method="post" action=actions.purchase.path()>
                {acting_as(store)}
                <input type="hidden" name="drop_id" value=self.id />
                <input type="hidden" name="reservation_id" value=id />
                {submit_button("primary", purchase_label, Box::new(is_off), armed)}
            </form>
            <form method="post" action=actions.release.path()>
                {acting_as(store)}
                <input type="hidden" name="drop_id" value=self.id />
                <input type="hidden" name="reservation_id" value=id />
                {submit_button("quiet", Box::new(|| text::GIVE_IT_BACK), Box::new(is_off), armed)}
            </form>
        }
    }

    fn bought(self, purchase: Purchase) -> impl IntoView {
        let size = self.drop.with_untracked(SneakerDrop::has_size_choice).then(|| purchase.size.clone());
        view! {
            <p class="status yours">
                <Check />
                <span>{text::purchased(&purchase)}</span>
                {size.map(|size| view! { <strong>{size}</strong> })}
            </p>
            <a href=Page::Purchases.to_string() class="secondary">
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
