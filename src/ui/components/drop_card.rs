//! One drop: its picture, its stock, and the one thing to do about it.

use super::{countdown::Countdown, icons::Check, sign_in::SignInButton, stock_meter::StockMeter};
use crate::{
    client::clock::milliseconds_until,
    client::forms::FormPost,
    client::store::Store,
    domain::{LATEST_PURCHASERS, Purchase, Purchaser, Reservation, SneakerDrop},
    text,
    ui::actions::{Actions, DropActions},
    ui::card_state::CardState,
};
use leptos::{
    either::{Either, EitherOf7},
    html,
    prelude::*,
};
use wasm_bindgen::JsCast;
use web_sys::HtmlElement;

/// What the parts of a card share.
#[derive(Clone, Copy)]
struct Card {
    id: i64,
    drop: RwSignal<SneakerDrop>,
    state: Memo<CardState>,
    actions: DropActions,
}

/// A drop's card. On the drop's own page it is the page's heading.
#[component]
pub fn DropCard(
    /// The drop, live.
    drop: ArcRwSignal<SneakerDrop>,
    /// Whether this is the drop's own page.
    #[prop(optional)]
    is_page: bool,
) -> impl IntoView {
    let store = expect_context::<Store>();
    let drop = RwSignal::from(drop);
    let SneakerDrop { id, name, price_cents, image_url, limit_per_user, .. } = drop.get_untracked();
    let actions = expect_context::<Actions>().of(id);
    let state = Memo::new(move |_| {
        let (reservation, purchases) = (store.reservation(id), store.purchases_of(id));
        let signed_in = store.user.with(Option::is_some);
        let now = match &reservation {
            // The server decides about a purchase that was asked for in time.
            Some(reservation) if actions.purchase.pending.get() => reservation.created_at,
            _ => store.clock.now(),
        };
        drop.with(|drop| CardState::at(now, drop, signed_in, reservation.as_ref(), &purchases))
    });
    let card = Card { id, drop, state, actions };
    let article = NodeRef::<html::Article>::new();
    card.keep_focus(article);

    let name_id = format!("drop-{id}");
    let heading = if is_page {
        Either::Left(view! { <h1 id=name_id.clone()>{name}</h1> })
    } else {
        Either::Right(view! {
            <h3 id=name_id.clone()>
                <a href=format!("/drops/{id}")>{name}</a>
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
                {image_url
                    .map(|url| {
                        view! { <img src=url alt="" width="800" height="500" decoding="async" /> }
                    })}
            </div>
            <div class="label">
                <div class="title">
                    {heading}
                    <p class="price">{text::price(price_cents)}</p>
                </div>
                <StockMeter drop />
                <p class="facts">{limit_per_user.map(text::limit)}</p>
                <Purchasers drop />
                <div class="action">{move || card.action()}</div>
            </div>
        </article>
    }
}

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

impl Card {
    /// The action that was just used leaves the page; focus moves on to the next one instead of to nowhere.
    fn keep_focus(self, article: NodeRef<html::Article>) {
        let was_used = self.actions.was_used;
        Effect::new(move || {
            self.state.track();
            if self.actions.is_busy() || !was_used.get_value() {
                return;
            }
            request_animation_frame(move || {
                // By now the drop may have moved to another section; its new card goes through this too.
                let Some(article) = article.try_get_untracked().flatten() else { return };
                was_used.set_value(false);
                let next = article.query_selector(".action button:not(:disabled), .action a").ok().flatten();
                let is_nowhere = document().active_element().is_none_or(|active| active.tag_name() == "BODY");
                if let Some(next) = next.filter(|_| is_nowhere) {
                    // An element that takes no focus leaves it where it is.
                    let _ = next.unchecked_into::<HtmlElement>().focus();
                }
            });
        });
    }

    /// `even` or `odd` after a change of stock elsewhere, so that each change restarts the pulse; nothing before the first.
    fn pulse(self) -> impl Fn() -> Option<&'static str> + Clone {
        let drop = self.drop;
        let version = Memo::new(move |_| drop.with(|drop| drop.version));
        let pulses = RwSignal::new(0_u32);
        let is_mine = move || untrack(|| self.actions.is_busy());
        Effect::new(move |before: Option<i64>| {
            let version = version.get();
            let is_elsewhere = before.is_some_and(|before| before != version) && !is_mine();
            if is_elsewhere {
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
                <Sizes drop=self.drop />
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
        let FormPost { path, pending } = actions.reserve;
        view! {
            <form method="post" action=path on:submit=move |event| actions.send_reserve(&event)>
                <input type="hidden" name="drop_id" value=self.id />
                <Sizes drop=self.drop />
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
            <form method="post" action=actions.purchase.path on:submit=move |event| actions.send_purchase(&event)>
                <input type="hidden" name="drop_id" value=self.id />
                <button type="submit" class="primary" disabled=move || actions.is_busy()>
                    {move || if actions.purchase.pending.get() { text::COMPLETING } else { text::COMPLETE_PURCHASE }}
                </button>
            </form>
            <form method="post" action=actions.release.path on:submit=move |event| actions.send_release(&event)>
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
                <span>{text::yours(&purchase)}</span>
                {size.map(|size| view! { <strong>{size}</strong> })}
            </p>
            <a href="/purchases" class="secondary">
                {text::VIEW_PURCHASE}
            </a>
            {may_reserve.then(|| self.reserve_form("quiet", text::RESERVE_ANOTHER))}
        }
    }
}

/// A countdown to the start, which turns into *Reserve* by itself.
#[component]
fn OpensIn(drop: RwSignal<SneakerDrop>) -> impl IntoView {
    let store = expect_context::<Store>();
    let starts_at = drop.with_untracked(|drop| drop.starts_at);
    let text = Memo::new(move |_| text::opens_in(milliseconds_until(starts_at, store.clock.now())));
    view! {
        <p class="status opens" role="timer">
            {move || text.get()}
        </p>
    }
}

/// The sizes to choose from, each with its live stock; where there is only one, its name.
#[component]
fn Sizes(drop: RwSignal<SneakerDrop>) -> impl IntoView {
    let count = drop.with_untracked(|drop| drop.sizes.len());
    if count == 1 {
        let label = drop.with_untracked(|drop| drop.sizes[0].label.clone());
        return Either::Left(view! { <p class="one-size">{label}</p> });
    }
    Either::Right(view! {
        <fieldset class="sizes">
            <legend>{text::SIZE}</legend>
            {(0..count).map(|index| view! { <SizeChoice drop index /> }).collect_view()}
        </fieldset>
    })
}

/// One size: chosen with one tap, struck through but visible when it has none left.
#[component]
fn SizeChoice(drop: RwSignal<SneakerDrop>, index: usize) -> impl IntoView {
    let size = Memo::new(move |_| drop.with(|drop| drop.sizes[index].clone()));
    let is_gone = move || size.get().available_stock == 0;
    let label = size.get_untracked().label;
    view! {
        <label class="size" data-gone=move || is_gone().then_some("")>
            <input
                type="radio"
                name="size"
                required
                value=label.clone()
                disabled=is_gone
                aria-label=move || text::size(&size.get())
            />
            <span aria-hidden="true">{label}</span>
            <small aria-hidden="true">{move || size.get().available_stock}</small>
        </label>
    }
}

/// The newest purchasers with how long ago.
#[component]
fn Purchasers(drop: RwSignal<SneakerDrop>) -> impl IntoView {
    let newest = Memo::new(move |_| {
        drop.with(|drop| drop.latest_purchasers.iter().take(LATEST_PURCHASERS).cloned().collect::<Vec<_>>())
    });
    view! {
        <ul class="purchasers" aria-label=text::RECENT_PURCHASERS>
            <For each=move || newest.get() key=|purchaser| purchaser.purchase_id let(purchaser)>
                <PurchaserRow purchaser />
            </For>
        </ul>
    }
}

/// `alice · 2 min ago`.
#[component]
pub fn PurchaserRow(
    /// Who bought.
    purchaser: Purchaser,
) -> impl IntoView {
    let store = expect_context::<Store>();
    let ago = Memo::new(move |_| text::ago(purchaser.purchased_at, store.clock.now()));
    view! {
        <li>
            <bdi>{purchaser.username}</bdi>
            " · "
            <span>{move || ago.get()}</span>
        </li>
    }
}
