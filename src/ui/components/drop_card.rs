//! A drop's card: picture, stock, recent purchasers, and the one action that its state offers.

use super::{
    countdown::Countdown, icons::Check, purchasers::Purchasers, sign_in::SignInButton, size_choice::SizeChoice,
    stock_meter::StockMeter,
};
use crate::{
    client::clock::milliseconds_until,
    client::store::Store,
    domain::{Purchase, Reservation, SneakerDrop},
    text,
    ui::actions::{Actions, DropActions},
    ui::card_state::CardState,
    ui::router::Page,
};
use leptos::{
    either::{Either, EitherOf7},
    html,
    prelude::*,
};
use wasm_bindgen::JsCast;
use web_sys::HtmlElement;

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
    let article = NodeRef::<html::Article>::new();
    card.keep_focus(article);

    let name_id = format!("drop-{id}");
    let heading = if is_page {
        Either::Left(view! { <h1 id=name_id.clone()>{move || name.get()}</h1> })
    } else {
        Either::Right(view! {
            <h3 id=name_id.clone()>
                <a href=Page::Drop(id).to_string()>{move || name.get()}</a>
            </h3>
        })
    };
    view! {
        <article
            node_ref=article
            class="card"
            class:page=is_page
            aria-labelledby=name_id
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
                    <p class="price">{move || text::price(price_cents.get())}</p>
                </div>
                <StockMeter drop />
                <p class="facts">{move || limit_per_user.get().map(text::limit)}</p>
                <Purchasers drop />
                <div class="action">{move || card.action()}</div>
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
    /// Moves focus to the card's next action when the one that was used is removed, which would leave focus on the
    /// body.
    fn keep_focus(self, article: NodeRef<html::Article>) {
        let should_move_focus = self.actions.should_move_focus;
        Effect::new(move || {
            self.state.track();
            if self.actions.is_busy() || !should_move_focus.get_value() {
                return;
            }
            request_animation_frame(move || {
                // If the drop has moved to another section by now, its new card does this instead.
                let Some(article) = article.try_get_untracked().flatten() else { return };
                should_move_focus.set_value(false);
                let next = article.query_selector(".action button:not(:disabled), .action a").ok().flatten();
                let is_focus_lost = document().active_element().is_none_or(|active| active.tag_name() == "BODY");
                if let Some(next) = next.filter(|_| is_focus_lost) {
                    // If the element cannot be focused, focus stays where it is.
                    let _ = next.unchecked_into::<HtmlElement>().focus();
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
        Effect::new(move |before: Option<i64>| {
            let version = version.get();
            if before.is_some_and(|before| before != version) && !is_own_change() {
                pulses.update(|pulses| *pulses += 1);
            }
            version
        });
        move || match pulses.get() {
            0 => None,
            odd if odd % 2 == 1 => Some("odd"),
            _ => Some("even"),
        }
    }

    fn action(self) -> impl IntoView {
        match self.state.get() {
            CardState::Upcoming => EitherOf7::A(view! { <OpensIn drop=self.drop /> }),
            CardState::SignedOut => EitherOf7::B(view! {
                <SizeChoice drop=self.drop />
                <SignInButton class="primary" label=text::SIGN_IN_TO_RESERVE />
            }),
            CardState::Open => EitherOf7::C(self.reserve_form("primary", text::RESERVE)),
            CardState::Held(reservation) => EitherOf7::D(self.held(reservation)),
            CardState::Bought { purchase, may_reserve } => EitherOf7::E(self.bought(purchase, may_reserve)),
            CardState::AllReserved => EitherOf7::F(view! {
                <p class="status">{move || text::all_reserved(self.drop.with(|drop| drop.held_stock))}</p>
                <button type="button" class="primary" disabled>
                    {text::RESERVE}
                </button>
            }),
            CardState::SoldOut => EitherOf7::G(view! { <p class="status">{text::SOLD_OUT}</p> }),
            CardState::Ended => EitherOf7::G(view! { <p class="status">{text::ENDED}</p> }),
        }
    }

    fn reserve_form(self, class: &'static str, label: &'static str) -> impl IntoView {
        let actions = self.actions;
        let pending = actions.reserve.pending;
        view! {
            <form method="post" action=actions.reserve.path() on:submit=move |event| actions.send_reserve(&event)>
                <input type="hidden" name="drop_id" value=self.id />
                <SizeChoice drop=self.drop />
                <button type="submit" class=class disabled=move || pending.get()>
                    {move || if pending.get() { text::RESERVING } else { label }}
                </button>
            </form>
        }
    }

    fn held(self, reservation: Reservation) -> impl IntoView {
        let actions = self.actions;
        let size = self.drop.with_untracked(SneakerDrop::has_size_choice).then(|| reservation.size.clone());
        view! {
            <div class="held-pair">
                <Countdown reservation />
                <p class="pair">
                    {size.map(|size| view! { <strong>{size}</strong> })}
                    <span>{text::RESERVED_FOR_YOU}</span>
                </p>
            </div>
            <form method="post" action=actions.purchase.path() on:submit=move |event| actions.send_purchase(&event)>
                <input type="hidden" name="drop_id" value=self.id />
                <button type="submit" class="primary" disabled=move || actions.is_busy()>
                    {move || if actions.purchase.pending.get() { text::COMPLETING } else { text::COMPLETE_PURCHASE }}
                </button>
            </form>
            <form method="post" action=actions.release.path() on:submit=move |event| actions.send_release(&event)>
                <input type="hidden" name="drop_id" value=self.id />
                <button type="submit" class="quiet" disabled=move || actions.is_busy()>
                    {text::GIVE_IT_BACK}
                </button>
            </form>
        }
    }

    fn bought(self, purchase: Purchase, may_reserve: bool) -> impl IntoView {
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
            {may_reserve.then(|| self.reserve_form("quiet", text::RESERVE_ANOTHER))}
        }
    }
}

/// The time until the drop starts.
#[component]
fn OpensIn(drop: RwSignal<SneakerDrop>) -> impl IntoView {
    let store = expect_context::<Store>();
    let starts_at = move || drop.with(|drop| *drop.starts_at);
    let text = Memo::new(move |_| text::opens_in(milliseconds_until(starts_at(), store.clock.now())));
    view! {
        <p class="status opens" role="timer">
            {move || text.get()}
        </p>
    }
}
